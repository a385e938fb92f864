"""Which steps over sketches find a wanted share of the true hits: found out on the table itself.

Half of the questions choose the steps, the other half tells what they find.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

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
_MORE, _TRIES = 1.15, 30
_TO_THE_LAST = (0.25, 0.5, 0.75, 0.9)  # of what may be lost: what the last step is allowed to

# What a step takes, in nanoseconds a row: to count a word of all rows, to go beyond the words that lie first,
# to fetch all words of a row, and to fetch a vector. They choose between steps that find as much.
_WORD_NS, _BEYOND_NS, _FETCHED_NS, _VECTOR_NS = 1.7, 35.0, 500.0, 30_000.0


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
    half = max(1, len(queries) // 2)
    ranks = _ranks(sketches, truth, dataset, half)
    ladders = [
        _stated(sketches, truth, half, share, _chosen(ranks, share, rows))
        for share in sorted({*_SHARES, wish.recall})
    ]
    plan = replace(plan, queries=len(queries) - half or half, ladders=tuple(ladders))
    kept.write_plan(plan)
    return plan


def _ranks(sketches: Sketches, truth: Truth, dataset: Any, half: int) -> dict[int, Any]:
    """How many rows differ as little as each true one: [questions * k], by the words that are looked at."""
    dimensions = truth.queries.shape[1]
    widths = sorted({width for width in _WIDTHS if width < words(dimensions)} | {words(dimensions)})
    found: dict[int, list[Any]] = {width: [] for width in widths}
    for query, rows in zip(truth.queries[:half], truth.rows[:half], strict=True):
        near = vectors_of(dataset, rows)
        for width in widths:
            found[width].append(sketches.ranks(query, near, width))
    return {width: np.concatenate(ranks) for width, ranks in found.items()}


def _chosen(ranks: dict[int, Any], share: float, rows: int) -> tuple[Step, ...]:
    """The steps that take the least time of those that let a share of the true rows through."""
    return min(_possible(ranks, share, rows))[1]


def _possible(ranks: dict[int, Any], share: float, rows: int) -> Iterator[tuple[float, tuple[Step, ...]]]:
    whole = max(ranks)
    last = ranks[whole]
    keep = _kept(last, share)
    yield _over_all(rows, whole) + keep * _VECTOR_NS, (Step(whole * WORD, keep),)
    for part in _TO_THE_LAST:
        at_last = _kept(last, 1.0 - (1.0 - share) * part)
        let_through = last <= at_last
        for width in ranks.keys() - {whole}:
            # Those that the last step loses in any case need not come so far.
            keep = _kept(ranks[width][let_through], share * len(last) / let_through.sum())
            nanoseconds = _over_all(rows, width) + keep * _FETCHED_NS + at_last * _VECTOR_NS
            yield nanoseconds, (Step(width * WORD, keep), Step(whole * WORD, at_last))


def _over_all(rows: int, width: int) -> float:
    return rows * (width * _WORD_NS + (_BEYOND_NS if width > HEAD else 0.0))


def _kept(ranks: Any, share: float) -> int:
    """How many rows to keep, so that a share of the true ones is among them."""
    return int(np.sort(ranks)[max(0, int(np.ceil(share * len(ranks))) - 1)])


def _stated(sketches: Sketches, truth: Truth, half: int, share: float, steps: tuple[Step, ...]) -> Ladder:
    """What steps find of the questions that did not choose them; more is kept where that is too little."""
    places = range(half, len(truth.queries)) if half < len(truth.queries) else range(half)
    for _ in range(_TRIES):
        recall = float(np.mean([_found(sketches, truth, place, steps) for place in places]))
        if recall >= share:
            break
        steps = tuple(replace(step, keep=round(step.keep * _MORE)) for step in steps)
    return Ladder(share, round(recall, 4), steps)


def _found(sketches: Sketches, truth: Truth, place: int, steps: tuple[Step, ...]) -> float:
    """The share of a question's true rows that the steps let through."""
    if not truth.rows.shape[1]:
        return 1.0
    rows = sketches.nearest(truth.queries[place], steps, None, truth.top_k)
    return float(np.isin(truth.rows[place], rows).mean())
