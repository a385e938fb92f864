"""Breakpoints: where distances tell of a break, and the best segmentation, against plain enumeration."""

import statistics
from collections.abc import Sequence
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.splitter_spec import BREAKPOINTS, SplitterSpec
from pipeline.splitting.breakpoints import Floats, Units, beyond, centred, distances, joined, segments

THRESHOLDS = [method for method in BREAKPOINTS if method != "optimal"]


def _units(vectors: Floats, sizes: Sequence[int]) -> Units:
    """One sentence a unit, without anything between them."""
    tokens = np.array(sizes, np.int64)
    ends = tokens.cumsum()
    return Units(vectors, np.ones(len(sizes), np.int64), ends - tokens, ends, tokens)


def _topics(*lengths: int, noise: float = 0.2, seed: int = 0) -> Floats:
    """Vectors of sentences that are about one topic after another."""
    chance = np.random.default_rng(seed)
    rows = [np.eye(8)[topic % 8] for topic, length in enumerate(lengths) for _ in range(length)]
    return centred((np.array(rows) + noise * chance.standard_normal((len(rows), 8))).astype(np.float32))


@st.composite
def _drawn(draw: st.DrawFn, most: int = 9) -> tuple[Floats, list[int]]:
    count = draw(st.integers(1, most))
    rows = draw(
        st.lists(st.lists(st.integers(-3, 3), min_size=3, max_size=3), min_size=count, max_size=count)
    )
    sizes = draw(st.lists(st.integers(1, 12), min_size=count, max_size=count))
    return centred(np.array(rows, np.float32).reshape(count, 3)), sizes


# ---- vectors and distances


def test_centred_vectors_have_length_1_and_those_without_a_direction_stay_zero() -> None:
    vectors = np.array([[1, 0], [0, 0], [0, 1], [0.5, 0.5]], np.float32)
    found = centred(vectors)
    assert np.linalg.norm(found, axis=1).tolist() == pytest.approx([1, 0, 1, 0])
    assert found[0] == pytest.approx(-found[2])
    assert not centred(np.ones((3, 2), np.float32)).any()


def test_a_distance_is_the_cosine_distance_of_the_means_on_both_sides() -> None:
    vectors = np.array([[1, 0], [1, 0], [0, 1], [-1, 0], [0, 0]], np.float64)
    assert distances(vectors, 1) == pytest.approx([0, 1, 1, 0])
    # (1,0) and (0,1); then (1,0)+(1,0) and (0,1)+(-1,0); then (1,0)+(0,1) and (-1,0); then nothing behind
    assert distances(vectors, 2) == pytest.approx([1 - 0.5**0.5, 1 + 0.5**0.5, 1 + 0.5**0.5, 0])
    assert len(distances(vectors[:1], 3)) == 0


# ---- thresholds


def _percentile(values: Sequence[float], share: float) -> float:
    """With linear interpolation, as numpy has it."""
    ordered, place = sorted(values), (len(values) - 1) * share / 100
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def _limit(method: str, values: Sequence[float], threshold: float) -> float:
    """LangChain's SemanticChunker in plain Python."""
    if method == "standard_deviation":
        return statistics.fmean(values) + threshold * statistics.pstdev(values)
    if method == "interquartile":
        return statistics.fmean(values) + threshold * (_percentile(values, 75) - _percentile(values, 25))
    return _percentile(values, threshold)


def _slopes(values: Sequence[float]) -> list[float]:
    inner = [(after - before) / 2 for before, after in zip(values, values[2:], strict=False)]
    return [values[1] - values[0], *inner, values[-1] - values[-2]]


@pytest.mark.parametrize("method", THRESHOLDS)
@given(values=st.lists(st.integers(0, 200), min_size=2, max_size=40), share=st.integers(0, 100))
def test_breaks_are_told_as_langchain_tells_them(method: str, values: list[int], share: int) -> None:
    threshold = float(share) if method in ("percentile", "gradient") else share / 25
    told = _slopes(values) if method == "gradient" else values
    limit = _limit(method, told, threshold)
    found = beyond(np.array(values, np.float64), method, threshold)
    sure = [(value > limit) == bool(is_break) for value, is_break in zip(told, found, strict=True)]
    near = [abs(value - limit) < 1e-9 for value in told]  # where rounding decides
    assert all(right or close for right, close in zip(sure, near, strict=True))


@pytest.mark.parametrize("method", THRESHOLDS)
def test_a_single_distance_is_no_break_and_none_at_all_is_none(method: str) -> None:
    assert beyond(np.array([0.7]), method, BREAKPOINTS[method]).tolist() == [False]
    assert beyond(np.array([]), method, BREAKPOINTS[method]).tolist() == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"breakpoints": "median"}, "no breakpoints 'median'; choose one of optimal, percentile"),
        ({"breakpoints": "percentile", "threshold": 101}, "threshold is 101; .* from 0 to 100"),
        ({"breakpoints": "gradient", "threshold": -1}, "threshold is -1; .* from 0 to 100"),
        ({"breakpoints": "interquartile", "threshold": -0.5}, "threshold is -0.5; .* 0 or more"),
        ({"threshold": float("nan")}, "threshold is nan; .* 0 or more"),
        ({"buffer": 0}, "buffer is 0; at least 1"),
        ({"min_tokens": 129}, "min_tokens is 129; .* half of max_tokens .128."),
        ({"min_tokens": -1}, "min_tokens is -1"),
    ],
)
def test_what_makes_no_sense_is_refused_when_the_spec_is_made(options: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        SplitterSpec("semantic", **options)  # type: ignore[arg-type]
    SplitterSpec("markdown", **options)  # type: ignore[arg-type]  # where none of it is used


# ---- segments


def _ends(starts: list[int], count: int) -> list[tuple[int, int]]:
    assert starts[0] == 0
    return list(pairwise([*starts, count]))


@pytest.mark.parametrize("method", BREAKPOINTS)
@given(drawn=_drawn(40), bound=st.integers(8, 40), least=st.integers(0, 8))
@settings(max_examples=40)
def test_segments_keep_to_the_bound_unless_one_unit_does_not(
    method: str, drawn: tuple[Floats, list[int]], bound: int, least: int
) -> None:
    vectors, sizes = drawn
    spec = SplitterSpec("semantic", bound, breakpoints=method, min_tokens=min(least, bound // 2))
    for start, end in _ends(segments(_units(vectors, sizes), spec), len(sizes)):
        assert start < end
        assert sum(sizes[start:end]) <= bound or end == start + 1


@given(drawn=_drawn(), bound=st.integers(8, 60), least=st.integers(0, 4), threshold=st.floats(0, 4))
def test_the_best_segmentation_is_the_best_of_all_there_are(
    drawn: tuple[Floats, list[int]], bound: int, least: int, threshold: float
) -> None:
    vectors, sizes = drawn
    count = len(sizes)
    spec = SplitterSpec("semantic", bound, threshold=threshold, min_tokens=least)
    neighbours = [float(one @ two) for one, two in pairwise(vectors)]
    penalty = threshold * (1 - statistics.fmean(neighbours) if neighbours else 1)

    def worth(starts: Sequence[int]) -> float:
        total = 0.0
        for start, end in pairwise([*starts, count]):
            if sum(sizes[start:end]) > bound and end > start + 1:
                return -1e9
            total += float(np.sum(vectors[start:end].sum(axis=0) ** 2)) / (end - start) - penalty
            total -= (count + 1) * (sum(sizes[start:end]) < least)
        return total

    every = ((0, *cuts) for size in range(count) for cuts in combinations(range(1, count), size))
    assert worth(segments(_units(vectors, sizes), spec)) == pytest.approx(max(map(worth, every)), abs=1e-6)


@pytest.mark.parametrize(
    ("method", "threshold"), [("optimal", None), ("percentile", 85), ("interquartile", 1)]
)
def test_topics_are_told_apart(method: str, threshold: float | None) -> None:
    units = _units(_topics(9, 6, 12, 7), [10] * 34)
    spec = SplitterSpec("semantic", 1000, breakpoints=method, threshold=threshold)
    found = segments(units, spec)
    assert {0, 9, 15, 27} <= set(found)
    assert len(found) <= 7


def test_one_topic_is_one_segment() -> None:
    assert segments(_units(_topics(30), [10] * 30), SplitterSpec("semantic", 1000, threshold=4)) == [0]
    same = np.zeros((30, 8))  # as sentences that are all the same come out around their mean
    assert segments(_units(same, [10] * 30), SplitterSpec("semantic", 1000)) == [0]


def test_a_topic_that_exceeds_the_bound_is_cut_into_as_few_pieces_as_can_be() -> None:
    vectors = _topics(20, 20)
    for method in ("percentile", "optimal"):
        spec = SplitterSpec(
            "semantic", 120, breakpoints=method, threshold=97.5 if method == "percentile" else 2
        )
        found = segments(_units(vectors, [10] * 40), spec)
        assert 20 in found
        assert len(found) == 4


def test_a_segment_below_the_minimum_joins_its_nearer_side() -> None:
    tokens = np.array([0, 10, 20, 25, 35, 45])
    far = np.array([0.1, 0.9, 0.4, 0.1])
    assert joined(np.array([2, 3]), far, tokens, 8).tolist() == [2]
    assert joined(np.array([2, 3]), far[::-1], tokens, 8).tolist() == [3]
    assert joined(np.array([1, 4]), far, tokens, 12).tolist() == []


@pytest.mark.parametrize("method", BREAKPOINTS)
@given(drawn=_drawn(40), least=st.integers(1, 30))
@settings(max_examples=40)
def test_no_segment_is_below_the_minimum_where_the_bound_leaves_room(
    method: str, drawn: tuple[Floats, list[int]], least: int
) -> None:
    vectors, sizes = drawn
    spec = SplitterSpec("semantic", 1000, breakpoints=method, threshold=0.5, min_tokens=least)
    found = _ends(segments(_units(vectors, sizes), spec), len(sizes))
    assert all(sum(sizes[start:end]) >= min(least, sum(sizes)) for start, end in found)


def test_rows_are_weighed_in_blocks_and_the_blocks_do_not_show() -> None:
    vectors = _topics(*[37] * 20)
    spec = SplitterSpec("semantic", 4000, threshold=4)
    assert segments(_units(vectors, [10] * len(vectors)), spec) == list(range(0, 740, 37))
