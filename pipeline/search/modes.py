"""The ways to rank chunks for a query: by vector, by text, by both, or by a funnel of prefixes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.errors import InputError, StoreRefused
from pipeline.ports import Vectors

_FOUND = ["chunk_id", "doc_id", "uri", "start", "end", "heading_path", "text"]

# Taken from each ranking that is fused, at least: a number of its own, so that the first hits are the
# same however many are asked for.
_CANDIDATES = 100
_FUNNEL_DIMENSIONS = 64
_FUNNEL_SHORTLIST = 20  # times top_k


@dataclass(frozen=True, slots=True)
class Question:
    """What is looked for, in one version of a table."""

    dataset: Any  # a Lance dataset
    text: str
    vector: Vectors | None  # float32[dimensions], normalised; None where the mode needs none
    top_k: int
    where: str | None = None  # SQL over the table's columns


Hits = list[dict[str, Any]]


def by_vector(question: Question) -> Hits:
    """Rank by cosine similarity."""
    rows = _scan(
        question,
        [*_FOUND, "_distance"],
        nearest={"column": "vector", "q": question.vector, "k": question.top_k, "metric": "cosine"},
    )
    scores = [1.0 - distance for distance in rows["_distance"].to_pylist()]
    return _hits(rows, score=scores, vector_score=scores)


def by_text(question: Question) -> Hits:
    """Rank by BM25 over words; ICU finds them in Japanese and in English alike."""
    rows = _scan(
        question,
        [*_FOUND, "_score"],
        full_text_query={"query": question.text, "columns": ["text"]},
        limit=question.top_k,
    )
    scores = rows["_score"].to_pylist()
    return _hits(rows, score=scores, text_score=scores)


def by_both(question: Question) -> Hits:
    """Add up the two rankings' scores, each scaled to 0..1 over its candidates, with equal weights.

    Scores say more than ranks: on JSQuAD and Cranfield this beats reciprocal rank fusion or equals
    it, as in Bruch, Gai and Ingber, An Analysis of Fusion Functions for Hybrid Retrieval (TOIS 2023).
    """
    wider = replace(question, top_k=max(question.top_k, _CANDIDATES))
    fused: dict[str, dict[str, Any]] = {}
    for ranking in (by_vector(wider), by_text(wider)):
        for hit, share in zip(ranking, _scaled([hit["score"] for hit in ranking]), strict=True):
            known = fused.setdefault(hit["chunk_id"], {**hit, "score": 0.0})
            known.update({name: value for name, value in hit.items() if name != "score"})
            known["score"] += share / 2
    return sorted(fused.values(), key=lambda hit: (-hit["score"], hit["chunk_id"]))[: question.top_k]


def by_funnel(question: Question) -> Hits:
    """Shortlist by the vector's first dimensions, then rank the shortlist by the whole vector.

    Meant for Matryoshka-trained models, whose prefixes are embeddings themselves.
    """
    rows = _scan(question, ["vector"], with_row_address=True)
    if not len(rows) or question.vector is None:
        return []
    vectors = rows["vector"].combine_chunks().flatten().to_numpy().reshape(len(rows), -1)
    width = min(_FUNNEL_DIMENSIONS, vectors.shape[1])
    prefixes = vectors[:, :width] / np.linalg.norm(vectors[:, :width], axis=1, keepdims=True)
    shortlist = _best(prefixes @ question.vector[:width], question.top_k * _FUNNEL_SHORTLIST)
    scores = vectors[shortlist] @ question.vector
    order = np.argsort(-scores, kind="stable")[: question.top_k]
    addresses = rows["_rowaddr"].take(pa.array(shortlist[order])).to_pylist()
    found = question.dataset._take_rows(addresses, columns=_FOUND)
    ranked = scores[order].tolist()
    return _hits(found, score=ranked, vector_score=ranked)


MODES: dict[str, Callable[[Question], Hits]] = {
    "vector": by_vector,
    "text": by_text,
    "hybrid": by_both,
    "funnel": by_funnel,
}


def _scan(question: Question, columns: list[str], **options: Any) -> pa.Table:
    filtered = question.where is not None
    # In brackets, or what stands behind a complete expression would be passed over in silence.
    condition = f"({question.where})" if filtered else None
    try:
        rows: pa.Table = question.dataset.to_table(
            columns=columns, filter=condition, prefilter=filtered, **options
        )
    except (ValueError, OSError) as error:
        if not filtered:
            raise StoreRefused(f"{question.dataset.uri} cannot be searched: {_said(error)}") from error
        raise InputError(f"--where {question.where!r} cannot be used: {_said(error)}") from error
    return rows


def _scaled(scores: list[float]) -> list[float]:
    """The best of a ranking to 1, its last to 0."""
    best, last = max(scores, default=0.0), min(scores, default=0.0)
    return [(score - last) / (best - last) if best > last else 1.0 for score in scores]


def _best(scores: Any, count: int) -> Any:
    if count >= len(scores):
        return np.arange(len(scores))
    return np.argpartition(-scores, count)[:count]


def _hits(rows: pa.Table, **scores: list[float]) -> Hits:
    found = rows.select(_FOUND).to_pylist()
    return [
        {**hit, **{name: values[place] for name, values in scores.items()}} for place, hit in enumerate(found)
    ]


def _said(error: Exception) -> str:
    """What Lance says, without the place in its own source that it adds."""
    return str(error).splitlines()[0].partition(", /")[0].removeprefix("Invalid user input: ")
