"""Near-duplicates: all of them, and nothing else, out of core."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.analysis import cells, duplicates
from pipeline.analysis.cells import Cells, Sample, meeting
from pipeline.analysis.duplicates import Wanted
from pipeline.analysis.duplicates import duplicates as find
from pipeline.analysis.kmeans import unit
from pipeline.errors import InputError
from pipeline.ports import Vectors
from tests.pipeline.analysis.made import around, made


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells, blocks and files so small that some hundred vectors need many of them."""
    monkeypatch.setattr(cells, "_SIZE", 25)
    monkeypatch.setattr(duplicates, "_BLOCK", 8)
    monkeypatch.setattr(duplicates, "_FILE", 2048)


def _planted(count: int, copies: int, seed: int = 0) -> Vectors:
    """Vectors around topics, and behind them copies that are nearly the same."""
    random = np.random.default_rng(seed)
    vectors = around(count // 20, 20, spread=1.0, seed=seed)
    noise = unit(random.standard_normal((copies, vectors.shape[1]), np.float32))
    return np.concatenate([vectors, unit(vectors[random.integers(count, size=copies)] + 0.15 * noise)])


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("seed", range(3))
def test_every_pair_over_the_threshold_is_found_as_by_comparing_all_with_all(
    tmp_path: Path, seed: int
) -> None:
    vectors = _planted(400, 150, seed)
    found = find(made(tmp_path, vectors), Wanted(0.95, recall=1.0, sample=550))
    near = np.triu(vectors @ vectors.T >= 0.95 - cells.NEAR, 1)
    assert found.cells > 10
    assert found.recall is not None
    assert found.recall >= 0.97
    assert 0.97 * near.sum() <= found.pairs <= near.sum()
    roots = list(range(len(vectors)))
    for a, b in zip(*np.nonzero(near), strict=True):
        old, new = max(roots[a], roots[b]), min(roots[a], roots[b])
        roots = [new if one == old else one for one in roots]
    assert found.near == pytest.approx(len(roots) - len(set(roots)), abs=5)
    sizes = sorted((count for count in np.bincount(roots).tolist() if count > 1), reverse=True)
    assert found.groups == pytest.approx(len(sizes), abs=5)
    assert found.largest[0].chunks == pytest.approx(sizes[0], abs=2)


def test_few_vectors_are_all_compared_with_all(tmp_path: Path) -> None:
    vectors = _planted(200, 60)
    found = find(made(tmp_path, vectors))
    assert (found.cells, found.spread, found.recall) == (1, 1, 1.0)
    assert found.pairs == np.triu(vectors @ vectors.T >= 0.95 - cells.NEAR, 1).sum()


def test_equal_texts_are_counted_apart_from_near_ones(tmp_path: Path) -> None:
    vectors = around(4, 1)
    near = unit(vectors[:1] + 0.05 * vectors[1:2])
    all_of_them = np.concatenate([vectors, vectors[:1], vectors[:1], near])
    population = made(tmp_path, all_of_them, ["a", "b", "c", "d", "a", "a", "e"], list("vwxyzzz"))
    found = find(population)
    assert (found.chunks, found.texts, found.exact, found.near, found.pairs) == (7, 5, 2, 1, 1)
    [group] = found.largest
    assert (group.chunks, group.texts, group.documents, group.text) == (4, 2, 2, "a")
    assert group.doc_ids == ("v", "z")
    assert group.least == pytest.approx(float(vectors[0] @ near[0]), abs=1e-5)
    assert find(population, Wanted(0.9999)).near == 0


def test_where_nothing_is_alike_nothing_is_found(tmp_path: Path) -> None:
    found = find(made(tmp_path, around(20, 1)))
    assert (found.groups, found.pairs, found.largest, found.recall) == (0, 0, (), None)
    assert found.record()["groups"] == 0


@pytest.mark.usefixtures("small")
def test_a_large_group_of_nearly_equal_texts_is_one_group(tmp_path: Path) -> None:
    vectors = around(1, 300, spread=0.05)
    found = find(made(tmp_path, vectors))
    assert (found.groups, found.largest[0].chunks) == (1, 300)


@given(st.integers(0, 3).flatmap(lambda seed: st.tuples(st.just(seed), st.integers(1, 3))))
def test_a_pair_meets_in_the_first_cell_that_both_lie_in(drawn: tuple[int, int]) -> None:
    seed, spread = drawn
    random = np.random.default_rng(seed)
    of = np.stack([random.permutation(6)[:spread] for _ in range(20)]).astype(np.int32)
    ones, others = random.integers(20, size=50), random.integers(20, size=50)
    expected = [
        min({*of[a].tolist()} & {*of[b].tolist()}, default=-1) for a, b in zip(ones, others, strict=True)
    ]
    assert meeting(of, ones, others).tolist() == expected


@pytest.mark.usefixtures("small")
def test_more_cells_a_vector_are_taken_where_more_recall_is_wanted() -> None:
    vectors = around(8, 50, spread=1.5)
    sample = Sample(np.arange(400), vectors)

    def laid(recall: float) -> Cells:
        batches = lambda: iter([(0, vectors[:150]), (150, vectors[150:])])  # noqa: E731
        return Cells.of_vectors(batches, 400, vectors, sample, threshold=0.5, recall=recall)

    low, high = laid(0.3), laid(0.97)
    assert low.spread < high.spread
    assert low.recall is not None
    assert high.recall is not None
    assert 0.25 < low.recall < high.recall
    near = vectors @ vectors.T >= 0.5 - cells.NEAR
    np.fill_diagonal(near, False)
    odd = [one for one in range(1, 400, 2) if near[one].any()]
    shares = []
    for one in odd:
        others = np.flatnonzero(near[one])
        shares.append((meeting(high.of, np.full(len(others), one), others) >= 0).mean())
    assert high.recall == pytest.approx(float(np.mean(shares)), abs=1e-6)
    assert high.sampled == len(odd)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"threshold": 0.0}, "a cosine above 0"),
        ({"threshold": 1.5}, "at most 1"),
        ({"recall": 0.0}, "a share above 0"),
        ({"sample": 1}, "at least 2 texts"),
        ({"groups": 0}, "at least 1 group"),
    ],
)
def test_what_makes_no_sense_is_refused(values: dict[str, float], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Wanted(**values)  # type: ignore[arg-type]
