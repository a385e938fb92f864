"""Sketches: a bit a dimension of every vector, so that all are looked through by a thirtieth of the bytes.

A bit says on which side of the table's mean a dimension lies; vectors that differ in few bits are near. The
bits of a Matryoshka vector's beginning are a sketch of its own, as its numbers are a vector of their own.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.ports import Vectors

Words = npt.NDArray[np.uint64]

WORD = 64  # dimensions
BLOCK = 131_072
"""Rows that are counted at once: fewer cost more in steps, and in threads that wait for one another."""


def words(dimensions: int) -> int:
    """The words that hold a bit of each dimension."""
    return -(-dimensions // WORD)


def sketched(vectors: Vectors, mean: Vectors) -> Words:
    """The bits of vectors[n, d] as words[w, n]: the first dimensions of all of them lie together."""
    bits = np.packbits(vectors > mean, axis=1, bitorder="little")
    padded = np.zeros((len(vectors), words(vectors.shape[1]) * 8), np.uint8)
    padded[:, : bits.shape[1]] = bits
    return np.ascontiguousarray(padded.view(np.uint64).T)


@dataclass(frozen=True, slots=True)
class Sketch:
    """The bits of some rows' vectors."""

    words: Words  # [w, n]

    def differing(self, query: Words, first: int) -> Any:
        """In how many of the first `first` words' bits each row differs from a query's, uint16[n]."""
        rows = self.words[:first]
        counts = np.zeros(rows.shape[1], np.uint16)
        differ, ones = np.empty(rows.shape[1], np.uint64), np.empty(rows.shape[1], np.uint8)
        for row, word in zip(rows, query, strict=False):
            np.bitwise_xor(row, word, out=differ)
            np.bitwise_count(differ, out=ones)
            np.add(counts, ones, out=counts)
        return counts

    def of(self, places: Any) -> "Sketch":
        """The sketch of some of the rows."""
        return Sketch(np.ascontiguousarray(self.words[:, places]))


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
