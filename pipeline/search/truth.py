"""The true neighbours of a sample of questions, by comparing all vectors: what recall is told from."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.ports import Vectors
from pipeline.search.rank import batches, vectors_of
from pipeline.search.where import Rows

QUESTIONS = 400  # so that a recall of 0.95 is told within 0.01
_TIE = 1e-5  # cosines that differ by less are the same: sums of float32 do not tell them apart


@dataclass(frozen=True, slots=True)
class Truth:
    """Questions, and what a perfect search finds for each."""

    queries: Vectors  # [n, d] of length 1
    own: Rows | None  # the row that each was taken from, which is no answer to it; None where from none
    top_k: int
    rows: npt.NDArray[np.uint64]  # [n, k]: the rows that are nearest
    bounds: npt.NDArray[np.float32]  # [n]: the cosine of the last of them

    def recall(self, place: int, rows: Rows, cosines: Any) -> float:
        """The share of a question's true rows among those that a search has found, the best first.

        A row as near as the last true one is as good as it.
        """
        kept = np.ones(len(rows), bool) if self.own is None else rows != self.own[place]
        near = np.asarray(cosines)[kept][: self.top_k] >= self.bounds[place] - _TIE
        return int(near.sum()) / int(self.rows.shape[1])


def sampled(dataset: Any, count: int = QUESTIONS, seed: int = 0) -> tuple[Vectors, Rows]:
    """Some of a version's own vectors, to be asked with, and the rows that they are of."""
    rows = dataset.to_table(columns=[], with_row_address=True)["_rowaddr"].to_numpy()
    chosen = np.sort(np.random.default_rng(seed).choice(rows, min(count, len(rows)), replace=False))
    return vectors_of(dataset, chosen), chosen


def true_neighbours(dataset: Any, queries: Vectors, own: Rows | None, top_k: int) -> Truth:
    """The `top_k` nearest rows to each query, its own left out."""
    return nearest_of(batches(dataset), queries, own, top_k)


def nearest_of(
    parts: Iterable[tuple[Rows, Vectors]], queries: Vectors, own: Rows | None, top_k: int
) -> Truth:
    """The same, of any rows and vectors[m, d] in parts."""
    best = np.full((len(queries), top_k), -np.inf, np.float32)
    found = np.zeros((len(queries), top_k), np.uint64)
    for rows, vectors in parts:
        scores = queries @ vectors.T
        if own is not None:
            scores[own[:, None] == rows[None, :]] = -np.inf
        # Few of a part come among the best so far: the rest is not sorted.
        width = min(top_k, len(rows))
        places = np.argpartition(-scores, width - 1, axis=1)[:, :width]
        joined = np.concatenate([best, np.take_along_axis(scores, places, axis=1)], axis=1)
        which = np.concatenate([found, rows[places]], axis=1)
        order = np.argsort(-joined, axis=1, kind="stable")[:, :top_k]
        best, found = np.take_along_axis(joined, order, axis=1), np.take_along_axis(which, order, axis=1)
    there = int(np.isfinite(best).sum(axis=1).min(initial=top_k))
    return Truth(queries, own, top_k, found[:, :there], best[:, there - 1] if there else best[:, 0])
