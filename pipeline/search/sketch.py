"""Sketches: a bit a dimension of every vector, so that all are looked through by a thirtieth of the bytes.

A bit says on which side of the table's mean a dimension lies; vectors that differ in few bits are near. The
bits of a Matryoshka vector's beginning are a sketch of its own, as its numbers are a vector of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.ports import Vectors

Words = npt.NDArray[np.uint64]

WORD = 64  # dimensions
_OF_A_BYTE = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")  # [256, 8]
_SAMPLE = 8192  # counts
HEAD = 4
"""Words that a first step over all rows reads, most often."""
BLOCK = 131_072
"""Rows that are counted at once: fewer cost more in steps."""


def words(dimensions: int) -> int:
    """The words that hold a bit of each dimension."""
    return -(-dimensions // WORD)


def sketched(vectors: Vectors, mean: Vectors) -> Words:
    """The bits of vectors[n, d] as words[n, w]."""
    bits = np.packbits(vectors > mean, axis=1, bitorder="little")
    padded = np.zeros((len(vectors), words(vectors.shape[1]) * 8), np.uint8)
    padded[:, : bits.shape[1]] = bits
    return padded.view(np.uint64)


@dataclass(frozen=True, slots=True)
class Sketch:
    """The bits of some rows' vectors, laid out for two ways of reading.

    All rows are looked through by their first words, a few rows by all of theirs: of the former each one lies
    beside the next row's, of the others those of a row lie together.
    """

    head: Words  # [h, n]
    tail: Words  # [n, w - h]

    @classmethod
    def of(cls, bits: Words) -> "Sketch":
        """The sketch of words[n, w]."""
        return cls(np.ascontiguousarray(bits[:, :HEAD].T), np.ascontiguousarray(bits[:, HEAD:]))

    @classmethod
    def read(cls, data: Words, rows: int, width: int) -> "Sketch":
        """What `tobytes` has written, of so many rows, `width` words each."""
        head = min(HEAD, width)
        size = head * rows
        return cls(data[:size].reshape(head, rows), data[size:].reshape(rows, width - head))

    def tobytes(self) -> bytes:
        """The words as a file has them."""
        return self.head.tobytes() + self.tail.tobytes()

    def __len__(self) -> int:
        return int(self.head.shape[1])

    def differing(self, query: Words, width: int) -> Any:
        """In how many bits of the first `width` words each row differs from a query: uint8[n] or uint16."""
        differ = self.head[0] ^ query[0]
        ones = np.bitwise_count(differ)
        counts: Any = ones.astype(np.uint8 if width * WORD < 256 else np.uint16)
        for row, word in zip(self.head[1:width], query[1:], strict=False):
            np.bitwise_xor(row, word, out=differ)
            np.bitwise_count(differ, out=ones)
            np.add(counts, ones, out=counts)
        if width > HEAD:
            more = np.bitwise_count(self.tail[:, : width - HEAD] ^ query[HEAD:width])
            counts += more.sum(axis=1, dtype=np.uint16)
        return counts

    def weighed(self, weights: Vectors) -> Any:
        """The sum of weights[d] where a row's bits are set, float32[n]."""
        bits = np.ascontiguousarray(np.concatenate([self.head.T, self.tail], axis=1)).view(np.uint8)
        padded = np.zeros(bits.shape[1] * 8, np.float32)
        padded[: len(weights)] = weights
        # A row's byte stands for eight weights, whose sums are made once.
        sums = padded.reshape(-1, 8) @ _OF_A_BYTE.T.astype(np.float32)
        places = np.arange(0, sums.size, 256, dtype=np.int32) + bits
        return sums.ravel().take(places).sum(axis=1)

    def part(self, start: int, stop: int) -> "Sketch":
        """The sketch of rows that lie one after another."""
        return Sketch(self.head[:, start:stop], self.tail[start:stop])

    def at(self, places: Any) -> "Sketch":
        """The sketch of some of the rows."""
        return Sketch(self.head.take(places, axis=1), self.tail.take(places, axis=0))


def joined(parts: Sequence[Sketch]) -> Sketch:
    """The sketch of the rows of all parts."""
    return Sketch(
        np.concatenate([part.head for part in parts], axis=1), np.concatenate([part.tail for part in parts])
    )


def nearest(counts: Any, keep: int) -> Any:
    """The places of the `keep` smallest counts; of equals those that come first."""
    if keep >= len(counts):
        return np.arange(len(counts))
    # A sample tells about where the bound lies: a histogram of all takes six times as long.
    some = counts[:: max(1, len(counts) // _SAMPLE)]
    at = min(len(some) - 1, 2 * keep * len(some) // len(counts) + 8)
    inside = np.flatnonzero(counts <= np.partition(some, at)[at])
    if len(inside) < keep:
        inside = np.arange(len(counts))
    found = counts[inside]
    bound = np.partition(found, keep - 1)[keep - 1]
    surely, tied = inside[found < bound], inside[found == bound]
    return np.sort(np.concatenate([surely, tied[: keep - len(surely)]]))
