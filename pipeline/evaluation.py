"""Evaluation: how well versions of tables answer questions whose answers are known, as one table.

What is compared are versions, of whatever space and splitter; modes; an index beside the search that compares
all vectors; and beginnings of the vectors. A document ranks where its best chunk does.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.analysis.labelled import Labelled, Mean
from pipeline.analysis.measures import measures
from pipeline.analysis.pairs import Agreement, Pairs, agreement
from pipeline.errors import GateFailed, InputError
from pipeline.ports import Vectors
from pipeline.search.ask import MODES, Ask
from pipeline.search.find import Searcher
from pipeline.search.question import Ranked
from pipeline.search.rank import batches
from pipeline.search.truth import nearest_of

EXACT = "exact"
"""Beside the modes of search: by vectors, past any index."""

_WIDER = 4  # times as many chunks as documents, at first
_SHORTEST = 1e-12


@dataclass(frozen=True, slots=True)
class Row:
    """One way of searching one version, and how good it is."""

    table: str
    version: int
    space: str
    splitter: str
    mode: str  # of MODES, or EXACT
    dimensions: int  # of the vectors' beginning that was compared
    queries: int
    absent: int  # relevant documents that the version has no chunk of: nothing can find them
    milliseconds: float  # a query, without its embedding
    scores: dict[str, Mean]  # by name, such as ndcg@10

    def record(self) -> dict[str, Any]:
        """The row as JSON; low and high are of the first score."""
        first = next(iter(self.scores.values()))
        told = {name: score.mean for name, score in self.scores.items()}
        return {**told, "low": first.low, "high": first.high, "milliseconds": self.milliseconds}

    def named(self) -> dict[str, Any]:
        """The row as JSON, with what it is of."""
        names = ("table", "version", "space", "splitter", "mode", "dimensions")
        return {**{name: getattr(self, name) for name in names}, **self.record()}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is evaluated, and what is asked of it."""

    modes: tuple[str, ...] = ("vector", "text", "hybrid")
    dimensions: tuple[int, ...] = ()  # beginnings of the vectors to compare, too
    depth: int = 10  # documents of a ranking that count
    at_least: float | None = None  # nDCG of the best way of the first version; None: anything will do

    def __post_init__(self) -> None:
        unknown = [mode for mode in self.modes if mode not in (*MODES, EXACT)]
        if unknown:
            raise InputError(
                f"there is no mode {unknown[0]!r} to evaluate; choose of {', '.join(MODES)}, {EXACT}"
            )
        if not self.modes:
            raise InputError("there is no mode to evaluate; name one at least")
        if self.depth < 1:
            raise InputError(f"--top-k is {self.depth}; it must be at least 1")
        if self.at_least is not None and not 0 <= self.at_least <= 1:
            raise InputError(f"--at-least is {self.at_least}; nDCG is between 0 and 1")


def evaluate(searchers: Sequence[Searcher], labelled: Labelled, wanted: Wanted) -> list[Row]:
    """Ask each version all questions, in each way; each question is embedded once a space.

    Raises InputError where a version has none of the documents that answer: those are other ones' ids.
    """
    return [row for searcher in searchers for row in _rows(searcher, labelled, wanted)]


def check(rows: Sequence[Row], wanted: Wanted) -> None:
    """Raise GateFailed where the first version is not as good as is asked for."""
    if wanted.at_least is None:
        return
    own = [row for row in rows if (row.table, row.version) == (rows[0].table, rows[0].version)]
    best = max(own, key=lambda row: row.scores[f"ndcg@{wanted.depth}"].mean)
    score = best.scores[f"ndcg@{wanted.depth}"]
    if score.mean < wanted.at_least:
        raise GateFailed(
            f"version {best.version} of table {best.table!r} has nDCG@{wanted.depth} {score.mean} "
            f"({score.low} to {score.high}) by {best.mode}, and {wanted.at_least} is asked for"
        )


def evaluate_pairs(
    searchers: Sequence[Searcher], pairs: Pairs, threshold: float | None
) -> list[dict[str, Any]]:
    """How well the cosines of each version's space agree with people, as JSON; a space once."""
    found: dict[str, Agreement] = {}
    for searcher in searchers:
        if searcher.space.name not in found:
            found[searcher.space.name] = agreement(pairs, searcher.embedded, threshold)
    return [{"space": name, **one.record()} for name, one in found.items()]


def _rows(searcher: Searcher, labelled: Labelled, wanted: Wanted) -> Iterator[Row]:
    texts = list(labelled.queries.values())
    entry = searcher.entry
    if not entry.chunks:
        raise InputError(f"version {entry.version} of table {searcher.table!r} is empty; nothing answers")
    names = Documents(searcher)
    absent = labelled.absent(names.all())
    if len(absent) == len(labelled.answers()):
        labelled.check(names.all(), f"version {entry.version} of table {searcher.table!r}")
    by_vector = set(wanted.modes) != {"text"} or wanted.dimensions
    vectors = searcher.embedded(texts) if by_vector else None
    ways: dict[tuple[str, int], Callable[[], list[list[str]]]] = {}
    whole = searcher.space.dimensions
    for mode in wanted.modes:
        ways[mode, whole] = lambda mode=mode: names.ranked(texts, vectors, _asked(mode), wanted.depth)  # type: ignore[misc]
    for width in wanted.dimensions:
        if not 0 < width < whole:
            raise InputError(f"--dimensions {width}: {searcher.space.name} can be cut to 1 to {whole - 1}")
        ways[EXACT, width] = lambda width=width: names.cut(vectors, width, wanted.depth)  # type: ignore[misc]
    grades = [labelled.grades[query] for query in labelled.queries]
    for (mode, width), way in ways.items():
        start = time.perf_counter()
        rankings = way()
        took = round(1e3 * (time.perf_counter() - start) / len(texts), 2)
        told = (searcher.table, entry.version, searcher.space.name, entry.specs()[1].name, mode, width)
        yield Row(*told, len(texts), len(absent), took, measures(rankings, grades, wanted.depth))


def _asked(mode: str) -> Ask:
    return Ask(mode="vector", exact=True) if mode == EXACT else Ask(mode=mode)


class Documents:
    """Ranks the documents of a version, each by its best chunk."""

    def __init__(self, searcher: Searcher) -> None:
        self._searcher = searcher
        rows = searcher.dataset.to_table(columns=["doc_id"], with_row_address=True)
        order = np.argsort(rows["_rowaddr"].to_numpy())
        self._rows = rows["_rowaddr"].to_numpy()[order]
        self._names = np.array(rows["doc_id"].to_pylist(), dtype=object)[order]

    def all(self) -> set[str]:
        """The doc_id of each document."""
        return set(self._names.tolist())

    def ranked(self, texts: Sequence[str], vectors: Vectors | None, ask: Ask, depth: int) -> list[list[str]]:
        """The best documents for each query."""
        return [
            self._one(text, None if vectors is None else vectors[place], ask, depth)
            for place, text in enumerate(texts)
        ]

    def cut(self, vectors: Any, width: int, depth: int) -> list[list[str]]:
        """The best documents by the first dimensions of all vectors, these scaled to length 1."""
        parts = ((rows, _beginning(block, width)) for rows, block in batches(self._searcher.dataset))
        chunks = min(len(self._rows), _WIDER * _WIDER * depth)
        found = nearest_of(parts, _beginning(vectors, width), None, chunks)
        return [self._of(rows, depth) for rows in found.rows]

    def _one(self, text: str, vector: Vectors | None, ask: Ask, depth: int) -> list[str]:
        chunks = _WIDER * depth
        while True:
            wider = Ask(mode=ask.mode, exact=ask.exact, top_k=chunks)
            ranked: Ranked = self._searcher.ranked(self._searcher.question(text, vector, wider))
            found = self._of(ranked.rows, depth)
            if len(found) == depth or len(ranked.rows) < chunks or chunks >= len(self._rows):
                return found
            chunks *= _WIDER

    def _of(self, rows: Any, depth: int) -> list[str]:
        return list(dict.fromkeys(self._names[np.searchsorted(self._rows, rows)].tolist()))[:depth]


def _beginning(vectors: Vectors, width: int) -> Vectors:
    short = vectors[:, :width]
    scaled: Vectors = short / np.maximum(np.linalg.norm(short, axis=1, keepdims=True), _SHORTEST)
    return scaled
