"""Vectors that lie as an embedding model's do, as many as are asked for.

What 62 real vectors of text-embedding-3-small say is kept: their mean, how far each dimension strays from it,
and how quickly their principal components decay. Around it, topics, topics within them, and texts within
those: a text has near neighbours, fewer that are nearer, as in a real corpus. Queries are texts more.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from tests.support import DATA

Matrix = npt.NDArray[np.float32]

_REAL = DATA / "openai-vectors" / "movies-es-62.parquet"
_COLUMN = "text_embedding_3_small_1536"
_TOPICS, _WITHIN = 200, 50
_SHARES = (0.3, 0.3, 0.4)  # of the variance: between topics, within them, and each text's own
_BLOCK = 20_000


@dataclass(frozen=True, slots=True)
class Corpus:
    """Where vectors of 1536 dimensions, or of fewer, are drawn from."""

    mean: Matrix  # [d]
    mix: Matrix  # [d, d]: from independent components to dimensions
    topics: Matrix  # [topics, d], as components
    within: Matrix  # [topics * within, d]

    @classmethod
    def like_real(cls, dimensions: int = 1536, seed: int = 0) -> "Corpus":
        """A corpus like the real vectors'."""
        if not _REAL.is_file():
            sys.exit(f"the real vectors {_REAL} are not here")
        real = np.array(pq.read_table(_REAL)[_COLUMN].to_pylist(), np.float32)[:, :dimensions]
        random = np.random.default_rng(seed)
        mean = real.mean(axis=0)
        spread = (real - mean).std(axis=0)
        decay = _decay(real - mean, dimensions, random)
        sizes = np.arange(1, dimensions + 1, dtype=np.float32) ** (-decay / 2)
        turned = np.linalg.qr(random.standard_normal((dimensions, dimensions), dtype=np.float32))[0]
        mix = sizes[:, None] * turned
        mix *= spread / np.sqrt((mix**2).sum(axis=0))
        topics = random.standard_normal((_TOPICS, dimensions), dtype=np.float32)
        within = random.standard_normal((_TOPICS * _WITHIN, dimensions), dtype=np.float32)
        return cls(mean, mix.astype(np.float32), topics, within)

    def drawn(self, count: int, seed: int) -> Iterator[Matrix]:
        """So many vectors of length 1, a block at a time; popular topics have more of them."""
        random = np.random.default_rng(seed)
        popular = 1.0 / np.arange(10, _TOPICS + 10)
        between, inside, own = np.sqrt(np.array(_SHARES, np.float32))
        for first in range(0, count, _BLOCK):
            size = min(_BLOCK, count - first)
            topic = random.choice(_TOPICS, size, p=popular / popular.sum())
            narrow = topic * _WITHIN + random.integers(0, _WITHIN, size)
            parts = own * random.standard_normal((size, len(self.mean)), dtype=np.float32)
            parts += between * self.topics[topic] + inside * self.within[narrow]
            vectors = parts @ self.mix + self.mean
            yield vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def matrix(self, count: int, seed: int, into: Any = None) -> Matrix:
        """So many vectors as one matrix."""
        made: Matrix = np.empty((count, len(self.mean)), np.float32) if into is None else into
        first = 0
        for block in self.drawn(count, seed):
            made[first : first + len(block)] = block
            first += len(block)
        return made


def _decay(centred: Matrix, dimensions: int, random: np.random.Generator) -> float:
    """The power by which components decay, so that as many draws have the spectrum that these have."""
    told = _spectrum(centred)
    places = np.arange(1, dimensions + 1)

    def drawn(decay: float) -> Any:
        scale = (places ** (-decay / 2)).astype(np.float32)
        return _spectrum(random.standard_normal((len(centred), dimensions), dtype=np.float32) * scale)

    return float(min(np.arange(0.3, 1.5, 0.05), key=lambda decay: np.abs(drawn(decay) - told).sum()))


def _spectrum(vectors: Matrix) -> Any:
    values = np.sort(np.linalg.eigvalsh(vectors @ vectors.T))[::-1][:-1]
    return values / values.sum()
