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
        counts: Any = np.zeros(len(self), np.uint8 if width * WORD < 256 else np.uint16)
        ones = np.empty(len(self), np.uint8)
        differ = np.empty(len(self), np.uint64)
        for row, word in zip(self.head[:width], query, strict=False):
            np.bitwise_xor(row, word, out=differ)
            np.bitwise_count(differ, out=ones)
            np.add(counts, ones, out=counts)
        if width > HEAD:
            more = np.bitwise_count(self.tail[:, : width - HEAD] ^ query[HEAD:width])
            counts += more.sum(axis=1, dtype=np.uint16)
        return counts

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
    below = np.cumsum(np.bincount(counts))
    bound = int(np.searchsorted(below, keep))
    inside = np.flatnonzero(counts <= bound)
    if len(inside) == keep:
        return inside
    surely = inside[counts[inside] < bound]
    return np.sort(np.concatenate([surely, inside[counts[inside] == bound][: keep - len(surely)]]))
