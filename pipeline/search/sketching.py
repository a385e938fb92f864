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
from pipeline.search.sketch import WORD, words
from pipeline.search.sketches import Kept, Ladder, Plan, Sketches
from pipeline.search.truth import Truth, sampled, true_neighbours

_SHARES = (0.9, 0.95, 0.99, 0.999)
_WIDTHS = (2, 4, 8, 16, 32)  # words of the first step
_FOR_THE_MEAN = 4096  # rows
_MORE, _TRIES = 1.5, 12

# What a step takes, in nanoseconds: to count a word of a row that lies beside the next, to count one that was
# fetched, and to fetch a vector. They choose between steps that find as much, and promise nothing.
_WORD_NS, _FETCHED_NS, _VECTOR_NS = 1.5, 10.0, 30_000.0


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
    """How many rows differ as little as each true one, by the words that are looked at: [questions * k]."""
    dimensions = truth.queries.shape[1]
    widths = sorted({width for width in _WIDTHS if width < words(dimensions)} | {words(dimensions)})
    found: dict[int, list[Any]] = {width: [] for width in widths}
    for query, rows in zip(truth.queries[:half], truth.rows[:half], strict=True):
        near = vectors_of(dataset, rows)
        for width in widths:
            found[width].append(sketches.ranks(query, near, width))
    return {width: np.sort(np.concatenate(ranks)) for width, ranks in found.items()}


def _chosen(ranks: dict[int, Any], share: float, rows: int) -> tuple[Step, ...]:
    """The steps that take the least time of those that let a share of the true rows through."""
    return min(_possible(ranks, share, rows))[1]


def _possible(ranks: dict[int, Any], share: float, rows: int) -> Iterator[tuple[float, tuple[Step, ...]]]:
    whole = max(ranks)
    each = 1.0 - (1.0 - share) / 2  # of two steps, each may lose half
    for width, counts in ranks.items():
        keep = _kept(counts, share if width == whole else each)
        at_last = keep if width == whole else _kept(ranks[whole], each)
        nanoseconds = rows * width * _WORD_NS + at_last * _VECTOR_NS
        steps: tuple[Step, ...] = (Step(width * WORD, keep),)
        if width != whole:
            nanoseconds += keep * whole * _FETCHED_NS
            steps += (Step(whole * WORD, at_last),)
        yield nanoseconds, steps


def _kept(ranks: Any, share: float) -> int:
    return int(ranks[min(len(ranks) - 1, int(np.ceil(share * len(ranks))))])


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
