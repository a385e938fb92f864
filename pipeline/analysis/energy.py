"""Whether two sets of documents are of one distribution: the energy test, with documents as what is drawn.

Székely and Rizzo, "Testing for equal distributions in high dimension" (2004). Chunks of one document are
alike, so that dealing out chunks anew one by one would find differences everywhere: documents are dealt out
as wholes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.analysis.kmeans import Labels
from pipeline.ports import Vectors

DEALS = 1999  # permutations: the least p is one in 2000
_AT_ONCE = 500  # permutations

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sample:
    """Chunks of some documents."""

    vectors: Vectors  # [n, d], unit
    documents: Labels  # [n] number of each chunk's document, 0 to m-1

    @property
    def count(self) -> int:
        """Documents."""
        return int(self.documents.max(initial=-1)) + 1


@dataclass(frozen=True, slots=True)
class Test:
    """How far two samples are from one distribution."""

    effect: float  # 0 (the same) to 1: the energy distance over the mean distance across, H of the paper
    p: float  # how often documents dealt out at random differ as much, or more
    shares_p: tuple[float, ...]  # the same of each label's share, over all labels as one family


def energy_test(before: Sample, after: Sample, labels: Labels, *, deals: int = DEALS, seed: int = 0) -> Test:
    """Compare two samples; `labels` are groups of the chunks of both, first those of `before`."""
    vectors = np.concatenate([before.vectors, after.vectors])
    documents = np.concatenate([before.documents, after.documents + before.count])
    count = before.count + after.count
    sums = _between(vectors, documents, count)
    sizes = np.bincount(documents, minlength=count).astype(np.float64)
    held = np.zeros((count, int(labels.max(initial=0)) + 1))
    np.add.at(held, (documents, labels), 1)
    mine = np.zeros((count, 1))
    mine[before.count :] = 1
    effect = _effects(sums, sizes, mine)
    apart = _apart(held, sizes, mine)
    more, most = 0, np.zeros(held.shape[1])
    random = np.random.default_rng(seed)
    for first in range(0, deals, _AT_ONCE):
        dealt = random.permuted(np.repeat(mine, min(_AT_ONCE, deals - first), axis=1), axis=0)
        more += int((_effects(sums, sizes, dealt) >= effect[0] - 1e-12).sum())
        # The largest of all labels' differences: p is then right for looking at all of them.
        widest = _apart(held, sizes, dealt).max(axis=0)
        most += (widest[None, :] >= apart - 1e-12).sum(axis=1)
    shares = tuple(((most + 1) / (deals + 1)).tolist())
    return Test(max(0.0, float(effect[0])), (more + 1) / (deals + 1), shares)


def _between(vectors: Vectors, documents: Labels, count: int) -> Floats:
    """The sums[m, m] of Euclidean distances between the chunks of two documents."""
    sums = np.zeros((count, len(vectors)))
    order = np.argsort(documents, kind="stable")
    starts = np.searchsorted(documents[order], np.arange(count))
    for first in range(0, len(vectors), 1024):
        distances = np.sqrt(np.maximum(2 - 2 * (vectors[first : first + 1024] @ vectors.T), 0))
        sums[:, first : first + 1024] = np.add.reduceat(distances[:, order].T, starts, axis=0)
    whole: Floats = np.add.reduceat(sums[:, order], starts, axis=1)
    return whole


def _effects(sums: Floats, sizes: Floats, after: Floats) -> Floats:
    """The energy coefficient of inhomogeneity for each way[m, p] to deal the documents out."""
    before = 1 - after
    n, m = sizes @ before, sizes @ after
    to_after = sums @ after
    across = (before * to_after).sum(axis=0) / (n * m)
    within_after = (after * to_after).sum(axis=0) / m**2
    within_before = (before * (sums @ before)).sum(axis=0) / n**2
    found: Floats = (2 * across - within_before - within_after) / np.maximum(2 * across, 1e-12)
    return found


def _apart(held: Floats, sizes: Floats, after: Floats) -> Any:
    """How far each label's share[l, p] differs between the two sides."""
    before = 1 - after
    return np.abs(held.T @ after / (sizes @ after) - held.T @ before / (sizes @ before))
