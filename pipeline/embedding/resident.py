"""What providers of models in folders have in common: one model a process, fed with batches by length.

Each batch runs on a core of its own, so that nothing waits for its threads to meet, and no more threads work
than there are cores. On a GPU, batches are larger and come one after another.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pipeline.embedding.by_length import Places, by_length, padded
from pipeline.embedding.vectors import normalised
from pipeline.errors import InputError, Rejected, Retryable
from pipeline.job import Endpoint
from pipeline.local_models import ModelFolder, fitting, identified, open_model
from pipeline.ports import Embedded, Limits, Vectors
from pipeline.space import Space

# About what a core's cache holds: larger batches took up to twice the CPU time a text (MiniLM, ONNX).
CPU_TOKENS = 1024
GPU_TOKENS = 16_384
_BATCH = 128  # texts a request: enough to be sorted by length, few enough to lose when a run is killed
_PROBES = ("a", "two words of a text, and some more")

Tokens = npt.NDArray[np.int64]


class Forward(Protocol):
    """The model itself."""

    def __call__(self, tokens: Tokens, mask: Tokens, /) -> npt.NDArray[np.floating]:
        """The vectors[n, d] of texts by their tokens[n, longest], and a mask of 1, or 0 for padding."""


@dataclass(frozen=True, slots=True)
class Resident:
    """A model in memory."""

    forward: Forward
    device: str  # "cpu", or what else it runs on
    tokens: int  # a batch, with what pads it
    at_once: int  # batches
    ready: Callable[[], None] = lambda: None  # makes a thread ready to run it


def limits(space: Space) -> Limits:
    """What the model of a space takes in one request."""
    return Limits(inputs=1024, tokens=200_000, tokens_an_input=open_model(space).longest, batch=_BATCH)


def cores() -> int:
    """The cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(affinity(0)) if affinity else os.cpu_count() or 1


class ResidentProvider:
    """Embeds with a model in a folder; equal texts have equal vectors, whatever they travel with."""

    def __init__(
        self, space: Space, endpoint: Endpoint, load: Callable[[ModelFolder, str, str, int], Resident]
    ) -> None:
        """A provider; `load` takes a folder, the hash of its weights, a pooling, and a number of threads."""
        self._space = identified(space)
        self.limits = limits(self._space)
        model = open_model(self._space)
        self._tokenizer, self._padding = model.tokenizer, model.padding
        self._around: int = self._tokenizer.num_special_tokens_to_add(is_pair=False)
        self._model = load(model, self._space.weights, self._space.pooling, endpoint.threads or cores())
        self.device = self._model.device
        self._pool = ThreadPoolExecutor(self._model.at_once, "embed", self._model.ready)
        self._native = self._probed(model)
        self._space = fitting(self._space, self._native)

    async def embed(self, texts: Sequence[str]) -> Embedded:
        """Embed texts; the work is done beside the event loop, which goes on answering."""
        loop = asyncio.get_running_loop()
        rows = await asyncio.to_thread(self._rows, texts)
        batches = list(by_length([len(row) for row in rows], self._model.tokens))
        runs = [loop.run_in_executor(self._pool, self._run, rows, places) for places in batches]
        vectors = np.empty((len(rows), self._native), np.float32)
        for places, found in zip(batches, await asyncio.gather(*runs), strict=True):
            vectors[places] = found
        try:
            checked = normalised(vectors[:, : self._space.dimensions], len(texts), self._space.dimensions)
        except Retryable as error:
            raise Rejected(str(error)) from error  # the same text gives the same vector: no use retrying
        return Embedded(checked, sum(len(row) - self._around for row in rows))

    async def close(self) -> None:
        """Begin no more batches; the model stays in memory for whoever is next."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _rows(self, texts: Sequence[str]) -> list[list[int]]:
        """The token ids of each text, with those that the model puts around."""
        try:
            encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=True)
        except TypeError:
            raise Rejected("the text has lone surrogates, which are no characters") from None
        rows = [encoding.ids for encoding in encodings]
        counts = [len(row) - self._around for row in rows]
        if not all(counts):
            raise Rejected("the text is empty: the model's tokenizer finds nothing in it")
        longest = self.limits.tokens_an_input
        if max(counts, default=0) > longest:
            raise Rejected(f"a text of {max(counts)} tokens: {self._space.name} takes at most {longest}")
        return rows

    def _run(self, rows: list[list[int]], places: Places) -> Vectors:
        tokens, mask = padded([rows[place] for place in places], self._padding)
        return np.asarray(self._model.forward(tokens, mask), np.float32)

    def _probed(self, model: ModelFolder) -> int:
        """The dimensions of the model's vectors, by trying it. Raises InputError where it does not work."""
        rows = self._rows(_PROBES)
        try:
            found = self._pool.submit(self._run, rows, np.arange(len(rows))).result()
        except Exception as error:  # whatever a library raises for a model that it cannot run
            raise InputError(f"{self._space.name}: {model.place} cannot be run: {error}") from error
        if found.ndim != 2 or len(found) != len(rows):
            shape = " x ".join(map(str, found.shape))
            raise InputError(
                f"{self._space.name}: {model.place} gives {shape} numbers for 2 texts, no vector each"
            )
        dimensions: int = found.shape[1]
        return dimensions
