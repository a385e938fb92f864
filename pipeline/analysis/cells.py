"""Cells of near vectors, so that only what lies in one cell has to be compared.

Each vector is laid into several of the cells nearest to it. How many is settled by a sample of vectors that
are compared with all of them: the fewest with which each meets the wanted share of those near it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.analysis import kmeans
from pipeline.analysis.kmeans import Labels
from pipeline.ports import Vectors

_SIZE = 500  # vectors a cell, about
_MOST = 4096  # cells
_TAUGHT = 40  # vectors a cell that its centre is found by
_ROUNDS = 5
_MOST_SPREAD = 6  # cells that a vector is laid into
NEAR = 1e-4  # what a cosine may be off by: vectors are kept in float16 on their way

Numbered = Callable[[], Iterator[tuple[int, Vectors]]]
"""All vectors, in batches, each with the number of its first; the same ones whenever it is called."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Vectors that are compared with all others, to learn which pairs there are."""

    numbers: Labels  # ascending
    vectors: Vectors


@dataclass(frozen=True, slots=True)
class Cells:
    """Where vectors are laid, and how surely near ones meet there."""

    of: npt.NDArray[np.int32]  # [n, spread] cells of each vector, the nearest first
    count: int
    recall: float | None  # of a vector's near ones, the share that it meets, by a sample; None: it has none
    sampled: int  # vectors of that sample that have near ones

    @property
    def spread(self) -> int:
        """Cells that each vector is laid into."""
        return int(self.of.shape[1])

    @classmethod
    def of_vectors(
        cls,
        vectors: Numbered,
        count: int,
        teachers: Vectors,
        sample: Sample,
        *,
        threshold: float,
        recall: float,
    ) -> "Cells":
        """Lay `count` vectors out, so that a vector meets a share `recall` of those near it.

                Near is a cosine at or above the threshold.
        One half of the sample settles how; the recall that is stated is the other half's.
        """
        wished = min(max(1, count // _SIZE), _MOST)
        centres = kmeans.fit(teachers[: wished * _TAUGHT], wished, spread=False, rounds=_ROUNDS)
        most = min(_MOST_SPREAD, len(centres))
        of = np.empty((count, most), np.int32)
        ones, others = [], []
        for first, batch in vectors():
            of[first : first + len(batch)] = _nearest(batch, centres, most)
            found, places = np.nonzero(sample.vectors @ batch.T >= threshold - NEAR)
            other = places + first
            apart = sample.numbers[found] != other
            ones.append(sample.numbers[found[apart]])
            others.append(other[apart])
        one, other = np.concatenate(ones), np.concatenate(others)
        stating = np.searchsorted(sample.numbers, one) % 2 == 1
        spread = _fewest(of, one[~stating], other[~stating], recall)
        of = np.ascontiguousarray(of[:, :spread])
        one, other = one[stating], other[stating]
        return cls(of, len(centres), _recall(of, one, other) if len(one) else None, len(np.unique(one)))


def meeting(of: npt.NDArray[np.int32], ones: Labels, others: Labels) -> npt.NDArray[np.int32]:
    """The first cell, by number, that both vectors of each pair lie in; -1 where there is none."""
    found = np.full(len(ones), np.iinfo(np.int32).max, np.int32)
    for column in of.T:
        mine = column[ones]
        for other in of.T:
            found = np.where(mine == other[others], np.minimum(found, mine), found)
    return np.where(found == np.iinfo(np.int32).max, -1, found).astype(np.int32)


def _fewest(of: npt.NDArray[np.int32], ones: Labels, others: Labels, recall: float) -> int:
    """The fewest cells a vector with which the recall is the wanted one; all there are if there is none."""
    most = int(of.shape[1])
    if not len(ones):
        return min(2, most)
    found = (spread for spread in range(1, most) if _recall(of[:, :spread], ones, others) >= recall)
    return next(found, most)


def _recall(of: npt.NDArray[np.int32], ones: Labels, others: Labels) -> float:
    """The share of its near ones that a vector meets, on average."""
    _, places, counts = np.unique(ones, return_inverse=True, return_counts=True)
    return float((np.bincount(places, meeting(of, ones, others) >= 0) / counts).mean())


def _nearest(batch: Vectors, centres: Vectors, most: int) -> npt.NDArray[np.int32]:
    """The numbers of the `most` nearest centres of each vector, the nearest first."""
    scores = batch @ centres.T
    if most < len(centres):
        top = np.argpartition(-scores, most - 1, axis=1)[:, :most]
    else:
        top = np.broadcast_to(np.arange(most), (len(batch), most))
    order = np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1, kind="stable")
    return np.take_along_axis(top, order, axis=1).astype(np.int32)
