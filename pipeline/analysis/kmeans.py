"""Spherical k-means: centres on the unit sphere, and the nearest of them for any vector."""

import numpy as np
import numpy.typing as npt

from pipeline.ports import Vectors

_ROUNDS = 25
_SETTLED = 0.001  # share of vectors that change their centre in a round, below which no more is done
_SAME = 1e-6  # distance: of equal vectors, float32 makes a little more than nothing
_AT_ONCE = 8192  # vectors compared with all centres

Labels = npt.NDArray[np.int64]


def fit(vectors: Vectors, k: int, seed: int = 0, *, spread: bool = True, rounds: int = _ROUNDS) -> Vectors:
    """The k centres[k, d] of unit vectors[n, d], each of length 1.

    `spread` begins with vectors far from one another (k-means++, Arthur and Vassilvitskii 2007), which finds
    better clusters; for thousands of centres it takes long, and drawn ones do as well. A centre that loses
    all its vectors begins again at the vector that is worst served. Dhillon and Modha, "Concept
    decompositions for large sparse text data using clustering" (2001).
    """
    random = np.random.default_rng(seed)
    k = min(k, len(vectors))
    centres = (
        _spread(vectors, k, random) if spread else vectors[random.choice(len(vectors), k, replace=False)]
    )
    before: Labels | None = None
    for _ in range(rounds):
        labels, likeness = nearest(vectors, centres)
        if before is not None and (labels != before).mean() <= _SETTLED:
            break
        before = labels
        centres = _means(vectors, labels, likeness, len(centres))
    return centres


def nearest(vectors: Vectors, centres: Vectors) -> tuple[Labels, Vectors]:
    """The nearest centre of each vector, and the cosine to it."""
    labels = np.empty(len(vectors), np.int64)
    likeness = np.empty(len(vectors), np.float32)
    for at in range(0, len(vectors), _AT_ONCE):
        scores = vectors[at : at + _AT_ONCE] @ centres.T
        mine = scores.argmax(axis=1)
        labels[at : at + _AT_ONCE] = mine
        likeness[at : at + _AT_ONCE] = np.take_along_axis(scores, mine[:, None], axis=1)[:, 0]
    return labels, likeness


def unit(vectors: Vectors) -> Vectors:
    """Scale each row to length 1; a row of zeros stays one."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: Vectors = (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return scaled


def _spread(vectors: Vectors, k: int, random: np.random.Generator) -> Vectors:
    chosen = [int(random.integers(len(vectors)))]
    distance = np.maximum(1 - vectors @ vectors[chosen[0]], 0)
    while len(chosen) < k:
        total = distance.sum()
        if total <= _SAME * len(vectors):  # there are no more than so many different ones
            break
        chosen.append(int(np.searchsorted(np.cumsum(distance), random.random() * total)))
        distance = np.minimum(distance, np.maximum(1 - vectors @ vectors[chosen[-1]], 0))
    return vectors[chosen]


def _means(vectors: Vectors, labels: Labels, likeness: Vectors, k: int) -> Vectors:
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], np.arange(k))
    sizes = np.diff([*starts, len(labels)])
    held = sizes > 0
    sums = np.zeros((k, vectors.shape[1]), np.float32)
    sums[held] = np.add.reduceat(vectors[order], starts[held], axis=0)
    if not held.all():
        sums[~held] = vectors[np.argsort(likeness)[: int((~held).sum())]]
    return unit(sums)
