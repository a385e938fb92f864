"""Near-duplicates: groups of chunks whose vectors are nearly the same, found out of core.

Equal texts are taken together first. The others are laid into cells (`cells`) on disk and compared within
those, so that neither all pairs nor all vectors are ever at hand at once.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.analysis.cells import NEAR, Cells, Sample, meeting
from pipeline.analysis.components import Components
from pipeline.analysis.kmeans import Labels
from pipeline.analysis.population import Population
from pipeline.errors import InputError
from pipeline.ports import Vectors

_TEACHERS = 120_000  # chunks that the cells' centres are found by
_FILE = 256 * 2**20  # bytes of vectors in a file, about
_MOST_FILES = 128  # open at once
_BLOCK = 2048  # vectors compared at once with as many others
_MEMBERS = 1000  # of a group that are compared with its first
_NAMED = 5  # documents of a group


@dataclass(frozen=True, slots=True)
class Wanted:
    """What counts as a near-duplicate, and how surely they are to be found."""

    threshold: float = 0.95  # cosine
    recall: float = 0.98  # share of a text's near-duplicates
    sample: int = 1000  # texts compared with all, to measure the recall
    groups: int = 100  # described, the largest first

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise InputError(f"the threshold is {self.threshold}; it is a cosine above 0, and at most 1")
        if not 0 < self.recall <= 1:
            raise InputError(f"the wanted recall is {self.recall}; it is a share above 0, and at most 1")
        if self.sample < 2 or self.groups < 1:
            raise InputError("a sample has at least 2 texts, and at least 1 group is described")


@dataclass(frozen=True, slots=True)
class Group:
    """Chunks that are near-duplicates of one another, directly or by way of others."""

    chunks: int
    texts: int  # different ones
    documents: int
    least: float  # cosine to the first, of the one furthest from it
    doc_ids: tuple[str, ...]  # some of the documents
    text: str  # of the first


@dataclass(frozen=True, slots=True)
class Duplicates:
    """The near-duplicates of a version."""

    table: str
    version: int
    threshold: float
    chunks: int  # looked at
    texts: int  # different ones
    exact: int  # chunks whose text an earlier chunk has
    near: int  # texts beyond the first of each group of different texts
    pairs: int  # of different texts at or above the threshold, found
    groups: int  # of more than one chunk
    cells: int
    spread: int  # cells that each text was laid into
    recall: float | None  # of a text's near-duplicates, the share found, by a sample; None: that has none
    sampled: int  # texts of that sample that have near-duplicates
    largest: tuple[Group, ...]

    def record(self) -> dict[str, Any]:
        """The groups as JSON."""
        return asdict(self)


def duplicates(population: Population, wanted: Wanted | None = None, seed: int = 0) -> Duplicates:
    """Find the groups of chunks whose cosine is at or above a threshold, within 1e-4."""
    wanted = wanted or Wanted()
    texts = _Texts.of(population)
    random = np.random.default_rng(seed)
    drawn = np.sort(random.permutation(len(texts.first))[: wanted.sample])
    teachers = population.vectors(population.sample(_TEACHERS, seed))
    cells = Cells.of_vectors(
        lambda: texts.batches(population),
        len(texts.first),
        random.permutation(teachers),
        Sample(drawn, population.vectors(texts.first[drawn])),
        threshold=wanted.threshold,
        recall=wanted.recall,
    )
    del teachers
    with tempfile.TemporaryDirectory(prefix="vecmill-duplicates-") as folder:
        laid = _Laid(Path(folder), cells, population.space.dimensions)
        laid.lay(texts.batches(population))
        components, pairs = _compare(laid, cells, wanted.threshold)
    roots = components.roots()
    described = _Described(population, texts, roots)
    return Duplicates(
        population.table,
        population.version,
        wanted.threshold,
        population.count,
        len(texts.first),
        population.count - len(texts.first),
        len(roots) - len(np.unique(roots)),
        pairs,
        described.groups,
        cells.count,
        cells.spread,
        cells.recall,
        cells.sampled,
        tuple(described.largest(wanted.groups)),
    )


@dataclass(frozen=True, slots=True)
class _Texts:
    """Which chunks have the same text: one chunk stands for each."""

    first: Labels  # [t] place of the chunk that stands for a text; ascending
    number: Labels  # [n] of each chunk's text

    @classmethod
    def of(cls, population: Population) -> "_Texts":
        column = population.columns("text_hash")["text_hash"].combine_chunks().dictionary_encode()
        numbers = column.indices.to_numpy().astype(np.int64)
        return cls(np.unique(numbers, return_index=True)[1], numbers)  # numbered as they appear

    def batches(self, population: Population) -> Iterator[tuple[int, Vectors]]:
        """The vectors of the texts in order, with the number of the first of each batch."""
        at = start = 0
        for vectors in population.batches():
            end = int(np.searchsorted(self.first, start + len(vectors)))
            yield at, vectors[self.first[at:end] - start]
            at, start = end, start + len(vectors)


class _Laid:
    """Vectors on disk by their cells: neighbouring cells share a file, written and read from end to end."""

    def __init__(self, folder: Path, cells: Cells, dimensions: int) -> None:
        self._folder = folder
        self._cells = cells
        self._dimensions = dimensions
        sizes = np.bincount(cells.of.ravel(), minlength=cells.count)
        files = np.cumsum(sizes) * dimensions * 2 // _FILE
        self._file_of = np.minimum(np.unique(files, return_inverse=True)[1], _MOST_FILES - 1)

    def lay(self, batches: Iterator[tuple[int, Vectors]]) -> None:
        """Write each vector to the files of its cells, as float16."""
        count = int(self._file_of.max()) + 1
        vectors = [self._path(number, "vectors").open("wb") for number in range(count)]
        numbers = [self._path(number, "numbers").open("wb") for number in range(count)]
        try:
            for first, batch in batches:
                half = batch.astype(np.float16)
                files = self._file_of[self._cells.of[first : first + len(batch)]]
                for file in np.unique(files).tolist():
                    mine = np.flatnonzero((files == file).any(axis=1))
                    vectors[file].write(half[mine].tobytes())
                    numbers[file].write((mine + first).tobytes())
        finally:
            for handle in (*vectors, *numbers):
                handle.close()

    def cells(self) -> Iterator[tuple[int, Labels, Any, Labels]]:
        """Each cell: its number, its vectors' numbers, and their file with their places in it."""
        for file in range(int(self._file_of.max()) + 1):
            numbers = np.fromfile(self._path(file, "numbers"), np.int64)
            if not len(numbers):
                continue
            vectors = np.memmap(self._path(file, "vectors"), np.float16, "r").reshape(-1, self._dimensions)
            places, columns = np.nonzero(self._file_of[self._cells.of[numbers]] == file)
            cells = self._cells.of[numbers[places], columns]
            order = np.argsort(cells, kind="stable")
            held, starts = np.unique(cells[order], return_index=True)
            for cell, mine in zip(held.tolist(), np.split(order, starts[1:]), strict=True):
                yield cell, numbers[places[mine]], vectors, places[mine]

    def _path(self, number: int, kind: str) -> Path:
        return self._folder / f"{number}.{kind}"


def _compare(laid: _Laid, cells: Cells, threshold: float) -> tuple[Components, int]:
    """Compare all with all within each cell; gives the components, and the number of different pairs."""
    components, pairs = Components(len(cells.of)), 0
    for cell, numbers, vectors, places in laid.cells():
        starts = range(0, len(numbers), _BLOCK)
        for one in starts:
            block = vectors[places[one : one + _BLOCK]].astype(np.float32)
            for other in starts[one // _BLOCK :]:
                against = (
                    block if other == one else vectors[places[other : other + _BLOCK]].astype(np.float32)
                )
                near = block @ against.T >= threshold - NEAR
                rows, columns = np.nonzero(np.triu(near, 1) if other == one else near)
                left, right = numbers[rows + one], numbers[columns + other]
                components.join(left, right)
                # A pair that meets in several cells counts in the first of them.
                pairs += (
                    int((meeting(cells.of, left, right) == cell).sum()) if cells.spread > 1 else len(left)
                )
    return components, pairs


class _Described:
    """What is told of the groups of more than one chunk."""

    def __init__(self, population: Population, texts: _Texts, roots: Labels) -> None:
        self._population = population
        self._texts = texts
        of = roots[texts.number]
        sizes = np.bincount(of)
        self._members = np.flatnonzero(sizes[of] > 1)
        order = np.argsort(of[self._members], kind="stable")
        self._members = self._members[order]
        held, self._starts = np.unique(of[self._members], return_index=True)
        self.groups = len(held)

    def largest(self, most: int) -> Iterator[Group]:
        """The largest groups, the first in the version's order where they are alike."""
        groups = np.split(self._members, self._starts[1:]) if self.groups else []
        groups.sort(key=lambda members: (-len(members), members[0]))
        for members in groups[:most]:
            doc_ids = self._population.take(members, "doc_id")["doc_id"].unique().to_pylist()
            texts = np.unique(self._texts.number[members])
            [row] = self._population.take(members[:1], "text").to_pylist()
            vectors = self._population.vectors(self._texts.first[texts[:_MEMBERS]])
            least = float((vectors @ vectors[0]).min())
            yield Group(len(members), len(texts), len(doc_ids), least, tuple(doc_ids[:_NAMED]), row["text"])
