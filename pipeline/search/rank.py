"""Rankings by one measure: by vectors, through an index or past it, and by words."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from pipeline.errors import StoreRefused
from pipeline.objects import store_errors
from pipeline.ports import Vectors
from pipeline.search.question import NOTHING, Question, Ranked, Scores
from pipeline.search.where import Rows

_FEW = 20_000  # rows whose vectors are fetched one by one sooner than all are read
_WIDER = 4  # times as many candidates, where too few of them pass the condition
_BATCH = 16 * 2**20  # bytes of vectors


@contextmanager
def reading(dataset: Any) -> Iterator[None]:
    """Say where it was that a dataset could not be read; raises StoreRefused."""
    try:
        with store_errors(dataset.uri):
            yield
    except ValueError as error:  # of Lance's, whose messages end in places of its own source
        said = str(error).splitlines()[0].partition(", /")[0]
        raise StoreRefused(f"{dataset.uri} cannot be searched: {said}; vecmill doctor checks it") from error


def by_vector(question: Question, count: int) -> Ranked:
    """The rows whose vectors are nearest, by the metric that is asked for."""
    if question.vector is None or not count:
        return NOTHING
    allowed = question.allowed
    if allowed is not None and len(allowed) <= _FEW:
        return Ranked.of(allowed, scored(question, allowed), count)
    if question.ask.metric == "l1":
        return by_scan(question, count)
    found = _passing(question, count, lambda wanted: _by_lance(question, wanted))
    return Ranked(found.rows, _converted(found.scores, question.ask.metric))


def by_words(question: Question, count: int) -> Ranked:
    """The rows whose words are the query's, by BM25; ICU finds words in Japanese and English alike."""
    return _passing(question, count, lambda wanted: _by_text(question, wanted)) if count else NOTHING


def by_scan(question: Question, count: int) -> Ranked:
    """The rows whose vectors are nearest, by comparing all of them."""
    best = NOTHING
    for rows, vectors in batches(question.dataset):
        scores = _compared(vectors, question)
        here = Ranked(rows, scores)
        if question.allowed is not None:
            here = here.only(question.allowed)
        joined = np.concatenate([best.rows, here.rows]), np.concatenate([best.scores, here.scores])
        best = Ranked.of(*joined, count)
    return best


def scored(question: Question, rows: Rows) -> Scores:
    """How near the vectors of rows are."""
    return _compared(vectors_of(question.dataset, rows), question)


def vectors_of(dataset: Any, rows: Rows) -> Vectors:
    """The vectors[n, d] of rows."""
    with reading(dataset):
        taken = dataset._take_rows(rows.tolist(), columns=["vector"])
    return matrix(taken["vector"], len(rows))


def batches(dataset: Any, columns: Sequence[str] = ("vector",)) -> Iterator[tuple[Rows, Vectors]]:
    """All rows and their vectors, so many megabytes at a time."""
    size = max(256, _BATCH // (4 * dataset.schema.field("vector").type.list_size))
    with reading(dataset):
        scanner = dataset.scanner(columns=list(columns), with_row_address=True, batch_size=size)
        for batch in scanner.to_batches():
            yield batch["_rowaddr"].to_numpy(), matrix(batch["vector"], len(batch))


def matrix(column: Any, count: int) -> Vectors:
    """A column of vectors as a matrix[n, d]."""
    chunks = column.combine_chunks() if hasattr(column, "combine_chunks") else column
    width = chunks.type.list_size
    vectors: Vectors = chunks.flatten().to_numpy().reshape(count, width)
    return vectors


def _passing(question: Question, count: int, ranking: Callable[[int], Ranked]) -> Ranked:
    """Rank more and more rows, until so many pass the condition."""
    allowed, wanted = question.allowed, min(count, question.rows)
    if allowed is None:
        return ranking(wanted)
    if not len(allowed):
        return NOTHING
    wanted = min(question.rows, count + 2 * count * question.rows // len(allowed))
    while True:
        found = ranking(wanted)
        passing = found.only(allowed)
        if len(passing.rows) >= count or len(found.rows) < wanted or wanted >= question.rows:
            return passing.first(count)
        wanted = min(question.rows, wanted * _WIDER)


def _by_lance(question: Question, count: int) -> Ranked:
    """By cosine, which ranks vectors of length 1 as their dot product and their distance do."""
    effort = None if question.ask.exact else question.effort
    nearest = {"column": "vector", "q": question.vector, "k": count, "metric": "cosine"}
    nearest |= {"nprobes": effort.probes, "refine_factor": effort.refine} if effort else {"use_index": False}
    found = _scan(question, "_distance", nearest=nearest)
    if effort and len(found.rows) < count:  # its partitions held no more
        nearest["use_index"] = False
        found = _scan(question, "_distance", nearest=nearest)
    return Ranked(found.rows, 1.0 - found.scores)


def _by_text(question: Question, count: int) -> Ranked:
    asked = {"query": question.text, "columns": ["text"]}
    return _scan(question, "_score", full_text_query=asked, limit=count)


def _scan(question: Question, measure: str, **options: Any) -> Ranked:
    with reading(question.dataset):
        found = question.dataset.to_table(columns=[measure], with_row_address=True, **options)
    return Ranked(found["_rowaddr"].to_numpy(), found[measure].to_numpy().astype(np.float64))


def _compared(vectors: Vectors, question: Question) -> Scores:
    query = question.vector
    assert query is not None
    if question.ask.metric == "l1":
        strayed: Scores = np.abs(vectors - query).sum(axis=1, dtype=np.float64)
        return -strayed
    # Not by BLAS, whose sums differ in the last digit with the number of rows: equals are to stay equal.
    cosines = np.einsum("ij,j->i", vectors, query)
    return _converted(cosines.astype(np.float64), question.ask.metric)


def _converted(cosines: Scores, metric: str) -> Scores:
    """Cosines of vectors of length 1, as the metric has them; a distance is made negative: more is nearer."""
    return -np.sqrt(np.maximum(0.0, 2.0 - 2.0 * cosines)) if metric == "l2" else cosines
