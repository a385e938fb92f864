"""How far two rankings of the same documents agree."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.correlation import spearman

Hit = Mapping[str, Any]
"""A hit of a search: doc_id, and start and end in the document."""


def overlap(one: Sequence[Hit], other: Sequence[Hit], k: int) -> float:
    """The share of either's first k hits that the other has, too; 0 to 1.

    A hit is another's where both lie on a common piece of one document: so chunks of two splitters compare.
    """
    first, second = one[:k], other[:k]
    if not first and not second:
        return 1.0
    shared = sum(any(_meets(a, b) for b in second) for a in first)
    shared += sum(any(_meets(a, b) for a in first) for b in second)
    return shared / (len(first) + len(second))


def documents(hits: Sequence[Hit]) -> list[str]:
    """The documents of hits, each where its best chunk stands."""
    return list(dict.fromkeys(hit["doc_id"] for hit in hits))


def correlation(one: Sequence[str], other: Sequence[str], k: int) -> float:
    """Spearman's rank correlation over the documents of either's first k; -1 to 1.

    A document that a ranking does not hold stands behind all that it holds. It is 1 where there is nothing to
    order.
    """
    either = list(dict.fromkeys([*one[:k], *other[:k]]))
    if len(either) < 2:
        return 1.0
    first, second = ([_place(doc_id, ranking) for doc_id in either] for ranking in (one, other))
    return 1.0 if first == second else spearman(first, second)


def _meets(one: Hit, other: Hit) -> bool:
    same = one["doc_id"] == other["doc_id"]
    return same and bool(max(one["start"], other["start"]) < min(one["end"], other["end"]))


def _place(doc_id: str, ranking: Sequence[str]) -> int:
    return ranking.index(doc_id) if doc_id in ranking else len(ranking)
