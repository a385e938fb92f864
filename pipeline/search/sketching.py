"""Which steps over sketches find a wanted share of the true hits: found out on the table itself.

Half of the questions choose the steps, the other half tells what they find.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from pipeline.ports import Vectors
from pipeline.search.ask import Step
from pipeline.search.index import Wish
from pipeline.search.rank import vectors_of
from pipeline.search.sketch import HEAD, WORD, words
from pipeline.search.sketches import Kept, Ladder, Plan, Sketches
from pipeline.search.truth import Truth, sampled, true_neighbours

_SHARES = (0.9, 0.95, 0.99, 0.999)
_WIDTHS = (1, 2, 3, 4, 8, 16, 32)  # words of the first step
_FOR_THE_MEAN = 4096  # rows
_WEIGHED = 4096  # rows that differ least, of which it is known how they rank when their bits are weighed
_TRIES, _LESS, _MORE = 30, 0.8, 1.05  # what may be lost, and what is kept, is changed so at each try
_TO_THE_LAST = (0.25, 0.5, 0.75, 0.9)  # of what may be lost: what the last step is allowed to

# What a step takes, in nanoseconds a row: to count a word of all rows, to go beyond the words that lie first,
# to fetch all words of a row, to weigh them, and to fetch a vector. They choose between steps that find as
# much.
_WORD_NS, _BEYOND_NS, _FETCHED_NS, _WEIGHED_NS, _VECTOR_NS = 0.8, 35.0, 300.0, 600.0, 25_000.0


def mean_of(dataset: Any) -> Vectors:
    """The mean of a sample of a version's vectors."""
    vectors, _ = sampled(dataset, _FOR_THE_MEAN, seed=1)
    mean: Vectors = vectors.mean(axis=0)
    return mean


def make_sketches(dataset: Any, kept: Kept, wish: Wish, asked: Vectors | None = None) -> Plan:
    """Make the sketches of a version, and find the steps for the wish and for other shares."""
    mean = mean_of(dataset)
    kept.remove()
    kept.write_missing(dataset, mean)
    rows = dataset.count_rows()
    plan = Plan(tuple(mean.tolist()), rows, wish.top_k, 0, ())
    queries, own = (asked, None) if asked is not None else sampled(dataset)
    truth = true_neighbours(dataset, queries, own, min(wish.top_k, max(1, rows - (own is not None))))
    sketches = Sketches(kept, plan, dataset)
    half = _half(truth)
    ranks = _ranks(sketches, truth, dataset)
    ladders = [_stated(sketches, truth, ranks, share) for share in sorted({*_SHARES, wish.recall})]
    plan = replace(plan, queries=len(queries) - half or half, ladders=tuple(ladders))
    kept.write_plan(plan)
    return plan


class _Ranks(NamedTuple):
    """How many rows are as near as each true one, [questions * k]."""

    differing: dict[int, Any]  # by the bits that differ, of so many words
    weighed: Any  # by all bits, weighed


def _half(truth: Truth) -> int:
    """How many questions choose."""
    return max(1, len(truth.queries) // 2)


def _ranks(sketches: Sketches, truth: Truth, dataset: Any) -> _Ranks:
    """The ranks of the true rows of the questions that choose."""
    half = _half(truth)
    whole = words(truth.queries.shape[1])
    differing: dict[int, list[Any]] = {width: [] for width in sorted({*_WIDTHS, whole}) if width <= whole}
    weighed = []
    for query, rows in zip(truth.queries[:half], truth.rows[:half], strict=True):
        near = vectors_of(dataset, rows)
        for width, found in differing.items():
            found.append(sketches.ranks(query, near, width))
        least = sketches.nearest(query, (Step(whole * WORD, _WEIGHED),), None, 1)
        scores = np.sort(sketches.weighed(query, least))
        own = sketches.weighed(query, np.sort(rows))[np.argsort(np.argsort(rows))]
        rank = len(least) - np.searchsorted(scores, own)
        weighed.append(np.where(np.isin(rows, least), rank, sketches.plan.rows))
    return _Ranks(
        {width: np.concatenate(found) for width, found in differing.items()}, np.concatenate(weighed)
    )


def _chosen(ranks: _Ranks, share: float, rows: int) -> Ladder:
    """The steps that take the least time of those that let a share of the true rows through."""
    return min(_possible(ranks, share, rows), key=lambda possible: possible[0])[1]


def _possible(ranks: _Ranks, share: float, rows: int) -> Iterator[tuple[float, Ladder]]:
    """Steps, and the nanoseconds that they take."""
    differing, weighed = ranks
    whole = max(differing)
    if not len(weighed):  # the only row has no neighbours
        yield 0.0, Ladder(share, 0.0, (Step(whole * WORD, rows),), rows)
        return
    for part in _TO_THE_LAST:
        vectors = min(rows, _kept(weighed, 1.0 - (1.0 - share) * part))
        let_through = weighed <= vectors
        # Those that the last step loses in any case need not come so far.
        middle = max(vectors, int(differing[whole][let_through].max()))
        last = Step(whole * WORD, middle)
        after = middle * _WEIGHED_NS + vectors * _VECTOR_NS
        yield _over_all(rows, whole) + after, Ladder(share, 0.0, (last,), vectors)
        for width in differing.keys() - {whole}:
            keep = _kept(differing[width][let_through], share * len(weighed) / let_through.sum())
            nanoseconds = _over_all(rows, width) + keep * _FETCHED_NS + after
            yield nanoseconds, Ladder(share, 0.0, (Step(width * WORD, keep), last), vectors)


def _over_all(rows: int, width: int) -> float:
    return rows * (width * _WORD_NS + (_BEYOND_NS if width > HEAD else 0.0))


def _kept(ranks: Any, share: float) -> int:
    """How many rows to keep, so that a share of the true ones is among them."""
    return int(np.sort(ranks)[max(0, int(np.ceil(share * len(ranks))) - 1)])


def _stated(sketches: Sketches, truth: Truth, ranks: _Ranks, share: float) -> Ladder:
    """Steps, and what they find of the questions that did not choose them; others where it is too little."""
    rows, half = sketches.plan.rows, _half(truth)
    places = range(half, len(truth.queries)) if half < len(truth.queries) else range(half)
    for tried in range(_TRIES):
        ladder = _chosen(ranks, 1.0 - (1.0 - share) * _LESS**tried, rows).keeping(_MORE**tried)
        recall = float(np.mean([_found(sketches, truth, place, ladder) for place in places]))
        if recall >= share:
            break
    return replace(ladder, wanted=share, recall=round(recall, 4))


def _found(sketches: Sketches, truth: Truth, place: int, ladder: Ladder) -> float:
    """The share of a question's true rows that the steps let through."""
    if not truth.rows.shape[1]:
        return 1.0
    rows = sketches.climbed(truth.queries[place], ladder, None, truth.top_k)
    return float(np.isin(truth.rows[place], rows).mean())
