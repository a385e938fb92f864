"""Labelled sets: queries, the documents that answer them, and how well a ranking finds those."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

from pipeline.errors import InputError
from pipeline.ports import Vectors
from pipeline.sources.tabular import BadRow, columns_of, read_rows
from pipeline.splitting.semantic import Embed

DEPTH = 10  # documents of a ranking that count

_NAMED = 3  # of what is wrong in a file
_EMBEDDED = 2048  # texts at once
_RANKED = 256  # queries at once
_NORMAL = 1.96  # standard errors on either side hold the mean with a confidence of 95 %


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over queries, and where it lies with a confidence of 95 %."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Mean":
        """The mean of a value a query, each from 0 to 1."""
        mean = fmean(values)
        margin = _NORMAL * stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
        return cls(round(mean, 4), round(max(0.0, mean - margin), 4), round(min(1.0, mean + margin), 4))


@dataclass(frozen=True, slots=True)
class Labelled:
    """Queries, and how relevant which documents are to them."""

    queries: Mapping[str, str]  # by query_id; those without a relevant document are left out
    grades: Mapping[str, Mapping[str, float]]  # by query_id, then doc_id; more than 0

    @classmethod
    def read(cls, queries: Path, qrels: Path) -> "Labelled":
        """Read a file of `query_id, text` and one of `query_id, doc_id, relevance`.

        Either is Parquet, CSV or JSON lines. Raises InputError, saying where, for what cannot be used.
        """
        texts = read_queries(queries)
        grades: dict[str, dict[str, float]] = {}
        for row, grade in graded_rows(qrels, ("query_id", "doc_id", "relevance")):
            if grade > 0:
                grades.setdefault(row["query_id"], {})[row["doc_id"]] = grade
        _check_known(grades, texts, f"{qrels} has query_ids that {queries} lacks")
        if not grades:
            raise InputError(f"{qrels} has no relevant document for any query; a relevance above 0 says so")
        return cls({query: texts[query] for query in grades}, grades)

    def answers(self) -> set[str]:
        """The documents that are relevant to any query."""
        return {doc_id for grades in self.grades.values() for doc_id in grades}

    def absent(self, doc_ids: Collection[str]) -> set[str]:
        """The relevant documents that are none of these."""
        return self.answers().difference(doc_ids)

    def check(self, doc_ids: Collection[str], place: str = "the source") -> None:
        """Raise InputError where a relevant document is none of these."""
        example = next(iter(doc_ids), "")
        _check_known(
            self.answers(),
            doc_ids,
            f"relevant documents are not in {place}, whose ids are such as {example!r}",
        )


def read_queries(file: Path) -> dict[str, str]:
    """The texts of a file of `query_id, text`, by query_id; raises InputError for what cannot be used."""
    texts: dict[str, str] = {}
    for place, row in _rows(file, ("query_id", "text")):
        if row["query_id"] in texts:
            raise InputError(f"{file}: {place} has the query_id {row['query_id']!r} again")
        texts[row["query_id"]] = row["text"]
    return texts


def graded_rows(file: Path, columns: Sequence[str]) -> Iterator[tuple[dict[str, str], float]]:
    """The rows of a file, and the number in the last of its columns; raises InputError where it is none."""
    for place, row in _rows(file, columns):
        grade = _number(row[columns[-1]])
        if grade is None:
            raise InputError(
                f"{file}: {place} has the {columns[-1]} {row[columns[-1]]!r}, which is no number"
            )
        yield row, grade


def read_labels(path: Path) -> dict[str, str]:
    """The label of each document: a file of `doc_id, label`, as Parquet, CSV or JSON lines."""
    return {row["doc_id"]: row["label"] for _, row in _rows(path, ("doc_id", "label"))}


def ndcg(ranking: Sequence[str], grades: Mapping[str, float], depth: int = DEPTH) -> float:
    """The discounted gain of a ranking's first documents, as a share of what the best ranking has.

    A document gains its grade, as in trec_eval. Järvelin and Kekäläinen, "Cumulated gain-based evaluation
    of IR techniques" (2002).
    """
    best = _discounted(sorted(grades.values(), reverse=True)[:depth])
    return _discounted([grades.get(doc_id, 0.0) for doc_id in ranking[:depth]]) / best


class Ranking:
    """Ranks documents for queries, each by its best chunk; exact, by comparing all with all."""

    def __init__(self, embed: Embed) -> None:
        self._embed = embed
        self._doc_ids: list[str] = []
        self._starts: list[int] = []  # of each document's chunks
        self._count = 0
        self._waiting: list[str] = []
        self._vectors: list[Vectors] = []

    def add(self, doc_id: str, texts: Sequence[str]) -> None:
        """Take in the embedded texts of a document's chunks."""
        if not texts:
            return
        self._doc_ids.append(doc_id)
        self._starts.append(self._count)
        self._count += len(texts)
        self._waiting += texts
        if len(self._waiting) >= _EMBEDDED:
            self._take()

    def best(self, queries: Vectors) -> Iterator[list[str]]:
        """The ids of the ten best documents for each query, the best first."""
        self._take()
        if not self._doc_ids:
            yield from ([] for _ in queries)
            return
        vectors, ids = np.concatenate(self._vectors), np.array(self._doc_ids)
        for at in range(0, len(queries), _RANKED):
            scores = np.maximum.reduceat(queries[at : at + _RANKED] @ vectors.T, self._starts, axis=1)
            for order in np.argsort(-scores, axis=1, kind="stable")[:, :DEPTH]:
                yield ids[order].tolist()

    def _take(self) -> None:
        if self._waiting:
            self._vectors.append(self._embed(self._waiting))
            self._waiting = []


@dataclass(frozen=True, slots=True)
class Exam:
    """A labelled set whose queries are embedded once, however many rankings are scored."""

    labelled: Labelled
    embed: Embed
    queries: Vectors  # in the order of the labelled set's

    @classmethod
    def of(cls, labelled: Labelled, embed: Embed) -> "Exam":
        """The exam of a labelled set."""
        return cls(labelled, embed, embed(list(labelled.queries.values())))

    def ranking(self) -> Ranking:
        """A ranking that takes in documents."""
        return Ranking(self.embed)

    def score(self, ranking: Ranking) -> Mean:
        """How well a ranking finds what answers the queries."""
        grades = self.labelled.grades
        found = zip(self.labelled.queries, ranking.best(self.queries), strict=True)
        return Mean.of([ndcg(doc_ids, grades[query]) for query, doc_ids in found])


def _rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a labelled set's file, each with where it is."""
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    lacking = set(columns) - set(columns_of(path) or columns)
    if lacking:
        raise InputError(f"{path} has no column {sorted(lacking)[0]!r}; it needs {', '.join(columns)}")
    for row in read_rows(path, columns):
        if isinstance(row, BadRow):
            raise InputError(f"{path}: {row.reason}")
        values = {name: _text(row.values.get(name)) for name in columns}
        empty = next((name for name, value in values.items() if not value), None)
        if empty:
            raise InputError(f"{path}: {row.place} has no {empty!r}; it needs {', '.join(columns)}")
        yield row.place, values


def _check_known(found: Collection[str], known: Collection[str], problem: str) -> None:
    unknown = sorted(set(found) - set(known))
    if unknown:
        more = f" and {len(unknown) - _NAMED:,} more" if len(unknown) > _NAMED else ""
        raise InputError(f"{problem}: {', '.join(map(repr, unknown[:_NAMED]))}{more}")


def _discounted(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(rank + 2) for rank, gain in enumerate(gains))


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()
