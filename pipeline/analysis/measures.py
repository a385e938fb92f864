"""How good rankings are: nDCG, recall, reciprocal rank and average precision of their first documents."""

from collections.abc import Mapping, Sequence

from pipeline.analysis.labelled import Mean, ndcg


def measures(
    rankings: Sequence[Sequence[str]], grades: Sequence[Mapping[str, float]], depth: int
) -> dict[str, Mean]:
    """Of rankings of documents, one a query, what is measured down to `depth`, by name."""
    pairs = list(zip((ranking[:depth] for ranking in rankings), grades, strict=True))
    return {
        f"ndcg@{depth}": Mean.of([ndcg(ranking, known, depth) for ranking, known in pairs]),
        f"recall@{depth}": Mean.of([recall(ranking, known, depth) for ranking, known in pairs]),
        f"mrr@{depth}": Mean.of([_reciprocal(ranking, known) for ranking, known in pairs]),
        f"map@{depth}": Mean.of([_precision(ranking, known, depth) for ranking, known in pairs]),
    }


def recall(ranking: Sequence[str], grades: Mapping[str, float], depth: int) -> float:
    """The share of all relevant documents, of which there is at least one, among the first `depth`."""
    return sum(doc_id in grades for doc_id in ranking[:depth]) / len(grades)


def _reciprocal(ranking: Sequence[str], grades: Mapping[str, float]) -> float:
    return next((1.0 / rank for rank, doc_id in enumerate(ranking, 1) if doc_id in grades), 0.0)


def _precision(ranking: Sequence[str], grades: Mapping[str, float], depth: int) -> float:
    """Average precision, as a share of what so deep a ranking can have."""
    found, total = 0, 0.0
    for rank, doc_id in enumerate(ranking, 1):
        if doc_id in grades:
            found += 1
            total += found / rank
    return total / min(len(grades), depth)
