"""Clusters: what a version's chunks are about, told by groups of near vectors."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.analysis import kmeans
from pipeline.analysis.kmeans import Labels
from pipeline.analysis.population import Population
from pipeline.analysis.terms import Terms, terms
from pipeline.errors import InputError
from pipeline.ports import Vectors

_TRIED = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32)
_CHOSEN_BY = 3_000  # chunks that k is chosen by: all are compared with all
_FITTED_BY = 50_000  # chunks that the centres are found by
_READ = 50_000  # chunks whose texts the terms are found in


@dataclass(frozen=True, slots=True)
class Cluster:
    """One group of chunks."""

    cluster: int  # counted from 0, the largest first
    chunks: int
    share: float  # of all chunks
    likeness: float  # mean cosine to the centre
    terms: Terms
    medoid: str  # chunk_id of the chunk nearest to the centre
    doc_id: str  # its document
    text: str  # its text


@dataclass(frozen=True, slots=True)
class Clusters:
    """All groups of a version."""

    table: str
    version: int
    k: int
    silhouettes: dict[int, float]  # of each k that was tried; empty where k was given
    clusters: tuple[Cluster, ...]

    def record(self) -> dict[str, Any]:
        """The clusters as JSON."""
        values = asdict(self)
        values["silhouettes"] = {str(k): round(value, 4) for k, value in self.silhouettes.items()}
        return values


@dataclass(frozen=True, slots=True)
class Grouping:
    """Centres, ordered by how many chunks are nearest to each."""

    centres: Vectors  # float32[k, d]
    silhouettes: dict[int, float]

    @classmethod
    def of(cls, population: Population, k: int | None = None, seed: int = 0) -> "Grouping":
        """Find the centres; without `k`, for the number whose groups stand most apart.

        That is the largest mean silhouette (Rousseeuw 1987) on a sample. Raises InputError for a k that the
        chunks cannot have.
        """
        if k is not None and not 1 <= k <= population.count:
            raise InputError(f"k is {k}; it must be 1 to {population.count:,}, the number of chunks")
        return cls.of_vectors(population.vectors(population.sample(_FITTED_BY, seed)), k, seed)

    @classmethod
    def of_vectors(cls, vectors: Vectors, k: int | None = None, seed: int = 0) -> "Grouping":
        """The same for vectors at hand."""
        tried: dict[int, float] = {}
        if k is None:
            drawn = np.random.default_rng(seed).permutation(len(vectors))[:_CHOSEN_BY]
            tried = silhouettes(vectors[np.sort(drawn)], seed)
            k = max(tried, key=lambda one: (round(tried[one], 3), -one), default=1)
        centres = kmeans.fit(vectors, k, seed)
        sizes = np.bincount(kmeans.nearest(vectors, centres)[0], minlength=len(centres))
        return cls(centres[np.argsort(-sizes, kind="stable")], tried)


def clusters(population: Population, k: int | None = None, seed: int = 0) -> Clusters:
    """Group a population's chunks, and say what each group is about."""
    grouping = Grouping.of(population, k, seed)
    count = len(grouping.centres)
    best = np.full(count, -2.0)
    medoids = np.zeros(count, np.int64)
    sums = np.zeros(count)
    parts: list[Labels] = []
    first = 0
    for vectors in population.batches():
        labels, likeness = kmeans.nearest(vectors, grouping.centres)
        sums += np.bincount(labels, likeness, count)
        order = np.lexsort((-likeness, labels))
        groups, at = np.unique(labels[order], return_index=True)
        top = order[at]
        better = likeness[top] > best[groups]
        best[groups[better]], medoids[groups[better]] = likeness[top[better]], first + top[better]
        parts.append(labels)
        first += len(labels)
    return Clusters(
        population.table,
        population.version,
        count,
        grouping.silhouettes,
        _described(population, np.concatenate(parts), medoids, sums),
    )


def _described(
    population: Population, labels: Labels, medoids: Labels, sums: npt.NDArray[np.float64]
) -> tuple[Cluster, ...]:
    sizes = np.bincount(labels, minlength=len(medoids))
    read = np.sort(np.random.default_rng(0).permutation(len(labels))[:_READ])
    told = terms(population.take(read, "text")["text"].combine_chunks(), labels[read])
    held = np.flatnonzero(sizes)
    rows = population.take(medoids[held], "chunk_id", "doc_id", "text").to_pylist()
    found = [
        (int(sizes[label]), float(sums[label] / sizes[label]), told.get(label, Terms()), row)
        for label, row in zip(held.tolist(), rows, strict=True)
    ]
    found.sort(key=lambda one: -one[0])
    return tuple(
        Cluster(number, size, size / len(labels), mean, words, row["chunk_id"], row["doc_id"], row["text"])
        for number, (size, mean, words, row) in enumerate(found)
    )


def silhouettes(vectors: Vectors, seed: int = 0) -> dict[int, float]:
    """The mean silhouette of unit vectors for each number of groups that is tried, by cosine distance."""
    distances = np.maximum(1 - vectors @ vectors.T, 0)
    every = np.arange(len(vectors))
    found: dict[int, float] = {}
    for k in (k for k in _TRIED if k < len(vectors)):
        centres = kmeans.fit(vectors, k, seed)
        labels, _ = kmeans.nearest(vectors, centres)
        member = np.eye(len(centres), dtype=np.float32)[labels]
        sizes = member.sum(axis=0)
        sums = distances @ member
        own = sums[every, labels] / np.maximum(sizes[labels] - 1, 1)
        others = sums / np.maximum(sizes, 1)
        others[:, sizes == 0] = np.inf
        others[every, labels] = np.inf
        near = others.min(axis=1)
        widest = np.maximum(own, near)
        apart = np.where(
            (sizes[labels] > 1) & (widest > 0), (near - own) / np.where(widest > 0, widest, 1), 0
        )
        if len(np.unique(labels)) > 1:
            found[k] = float(apart.mean())
    return found
