"""Funnels: shortlists by little of each vector, and what the sketches of a table change."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.search.ask import Ask, Step
from pipeline.search.funnel import by_funnel
from pipeline.search.rank import batches, by_vector, scored
from pipeline.search.sketch import Sketch, nearest, sketched
from pipeline.search.sketches import Ladder, Plan, Sketches
from tests.pipeline.search.conftest import Asking


def test_without_sketches_and_steps_whole_vectors_are_compared(asking: Asking) -> None:
    question = asking(mode="funnel")
    assert by_funnel(question, 12).rows.tolist() == by_vector(question, 12).rows.tolist()


def test_each_step_ranks_by_a_longer_beginning_scaled_to_length_1(asking: Asking) -> None:
    question = asking(mode="funnel", steps=(Step(8, 60), Step(32, 20)))
    read = list(batches(question.dataset))
    rows, vectors = np.concatenate([one for one, _ in read]), np.concatenate([two for _, two in read])
    assert question.vector is not None
    for width, keep in ((8, 60), (32, 20), (64, 12)):
        short = vectors[:, :width]
        scores = short @ question.vector[:width] / np.linalg.norm(short, axis=1)
        best = np.argsort(-scores, kind="stable")[:keep]
        rows, vectors = rows[best], vectors[best]
    ranked = by_funnel(question, 12)
    assert ranked.rows.tolist() == rows.tolist()
    assert ranked.scores == pytest.approx(scored(question, ranked.rows))


def test_a_funnel_keeps_to_the_allowed_rows(asking: Asking) -> None:
    allowed = np.sort(by_vector(asking(), 60).rows[::4])
    question = asking(mode="funnel", steps=(Step(16, 20),), allowed=allowed)
    assert set(by_funnel(question, 5).rows.tolist()) <= set(allowed.tolist())


def test_steps_keep_as_many_as_are_asked_for_at_least(asking: Asking) -> None:
    assert len(by_funnel(asking(mode="funnel", steps=(Step(4, 3),)), 12).rows) == 12


@pytest.mark.parametrize("text", ["64", "64:", "a:b", "64:10:3", "", "0:10", "64:-1"])
def test_steps_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="step"):
        Step.parse(text)


def test_steps_are_read_as_people_write_them_and_go_with_the_funnel() -> None:
    assert Step.parse("64:2000,256:200") == (Step(64, 2000), Step(256, 200))
    with pytest.raises(InputError, match="add --mode funnel"):
        Ask(mode="vector", steps=(Step(64, 10),))


@given(st.integers(1, 500), st.integers(1, 40), st.integers(0, 2**32 - 1), st.data())
def test_a_sketch_counts_the_dimensions_on_different_sides_of_the_mean(
    dimensions: int, rows: int, seed: int, data: st.DataObject
) -> None:
    random = np.random.default_rng(seed)
    vectors = random.standard_normal((rows, dimensions), dtype=np.float32)
    query, mean = random.standard_normal((2, dimensions), dtype=np.float32)
    words = data.draw(st.integers(1, -(-dimensions // 64)))
    counts = Sketch.of(sketched(vectors, mean)).differing(sketched(query[None], mean)[0], words)
    within = min(dimensions, 64 * words)
    assert counts.tolist() == ((vectors > mean) != (query > mean))[:, :within].sum(axis=1).tolist()


@given(st.integers(1, 500), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_a_sketch_sums_the_weights_of_its_bits(dimensions: int, rows: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    vectors = random.standard_normal((rows, dimensions), dtype=np.float32)
    weights, mean = random.standard_normal((2, dimensions), dtype=np.float32)
    found = Sketch.of(sketched(vectors, mean)).weighed(weights)
    assert found == pytest.approx((vectors > mean) @ weights, abs=1e-3)


class _Fragment:
    num_deletions = 0

    def __init__(self, number: int, vectors: Any) -> None:
        self.fragment_id, self.vectors = number, vectors


class _InMemory:
    """Sketches without a store, and the dataset that they are of."""

    def __init__(self, *parts: Any) -> None:
        self._fragments = [_Fragment(3 * number, part) for number, part in enumerate(parts)]

    def get_fragments(self) -> list[_Fragment]:
        return self._fragments

    def read(self, fragment: _Fragment, width: int) -> Any:
        return Sketch.of(sketched(fragment.vectors, np.zeros(fragment.vectors.shape[1], np.float32)))


@settings(deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=4), st.integers(1, 50), st.integers(0, 2**32 - 1))
def test_the_first_step_finds_the_nearest_of_all_however_rows_lie_in_blocks(
    sizes: list[int], keep: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    parts = [random.standard_normal((size, 70), dtype=np.float32) for size in sizes]
    query = random.standard_normal(70, dtype=np.float32)
    kept: Any = _InMemory(*parts)
    made = Sketches(kept, Plan((0.0,) * 70, sum(sizes), 10, 0, ()), kept)
    rows = np.concatenate(
        [
            (np.uint64(3 * n) << np.uint64(32)) + np.arange(size, dtype=np.uint64)
            for n, size in enumerate(sizes)
        ]
    )
    counts = ((np.concatenate(parts) > 0) != (query > 0)).sum(axis=1)
    for allowed in (None, rows[random.random(len(rows)) < 0.5]):
        within = rows if allowed is None else allowed
        here = counts[np.isin(rows, within)]
        expected = np.sort(within[np.argsort(here, kind="stable")[:keep]])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("pipeline.search.sketches.BLOCK", 8)
            found = made.nearest(query, (Step(128, keep),), allowed, 1)
        assert found.tolist() == expected.tolist()
    some = rows[:: 1 + keep % 3]
    weighed = made.weighed(query, some)
    assert weighed == pytest.approx((np.concatenate(parts)[np.isin(rows, some)] > 0) @ query, abs=1e-3)
    ladder = Ladder(0.9, 0.9, (Step(128, len(rows)),), keep)
    best = np.sort(np.argsort(-made.weighed(query, rows))[:keep])
    assert made.climbed(query, ladder, None, 1).tolist() == rows[best].tolist()
    near = np.concatenate(parts)[:5]
    ranks = made.ranks(query, near, 2).tolist()
    assert ranks == [int((counts <= count).sum()) for count in counts[:5]]


@given(st.lists(st.integers(0, 20), min_size=1, max_size=60), st.integers(1, 70), st.integers(1, 60))
def test_the_nearest_are_the_smallest_counts_and_of_equals_the_first(
    counts: list[int], keep: int, sample: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.search.sketch._SAMPLE", sample)
        places = nearest(np.array(counts, np.uint16), keep).tolist()
    assert places == sorted(sorted(range(len(counts)), key=lambda place: (counts[place], place))[:keep])
