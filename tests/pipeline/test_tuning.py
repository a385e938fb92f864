"""Tuning: what is learned, what it is measured on, and which files it can be learned from."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.analysis.kmeans import unit
from pipeline.errors import InputError
from pipeline.examples import Examples
from pipeline.ports import Vectors
from pipeline.tuning import Course, Embedded, _loss, measure, tune

_RANDOM = np.random.default_rng(0)
_DIMENSIONS = 16


def _pairs(count: int = 300) -> Embedded:
    """Pairs that agree in the first half of the dimensions, and have noise in the other."""
    same = _RANDOM.standard_normal((count, _DIMENSIONS // 2))
    noise = _RANDOM.standard_normal((2, count, _DIMENSIONS // 2)) * 2
    left, right = (unit(np.hstack([same, one]).astype(np.float32)) for one in noise)
    return Embedded(left, right)


def _wrong(vectors: Embedded) -> Vectors:
    """For each anchor a text that agrees with it where nothing is told."""
    noise = vectors.left.copy()
    noise[:, : _DIMENSIONS // 2] = _RANDOM.permutation(vectors.left)[:, : _DIMENSIONS // 2]
    return unit(noise)


def test_pairs_teach_what_to_look_at() -> None:
    tuned = tune("pairs", _pairs())
    assert tuned.measured.better
    assert tuned.measured.after["recall@1"] > 1.5 * tuned.measured.before["recall@1"]
    kept = np.linalg.norm(tuned.adapter.matrix[:, : _DIMENSIONS // 2])
    assert kept > 1.2 * np.linalg.norm(tuned.adapter.matrix[:, _DIMENSIONS // 2 :])
    assert (tuned.measured.learned, tuned.measured.held_out) == (225, 37)


def test_triplets_teach_what_not_to_look_at() -> None:
    pairs = _pairs()
    tuned = tune("triplets", Embedded(pairs.left, pairs.right, _wrong(pairs)))
    assert tuned.measured.after["accuracy"] > tuned.measured.before["accuracy"] + 0.2


def test_scores_are_learned_by_regression_of_the_cosine() -> None:
    pairs = _pairs()
    half = _DIMENSIONS // 2
    true = np.einsum("ij,ij->i", unit(pairs.left[:, :half]), np.roll(unit(pairs.right[:, :half]), 0, axis=0))
    mixed = np.where(np.arange(300) % 2 == 0, np.arange(300), (np.arange(300) * 7) % 300)
    true = np.einsum("ij,ij->i", unit(pairs.left[:, :half]), unit(pairs.right[mixed, :half]))
    tuned = tune("scores", Embedded(pairs.left, pairs.right[mixed], scores=true.astype(np.float64)))
    assert tuned.measured.after["spearman"] > tuned.measured.before["spearman"] + 0.05


def test_where_nothing_can_be_learned_nothing_gets_worse() -> None:
    left, right = (unit(_RANDOM.standard_normal((200, _DIMENSIONS)).astype(np.float32)) for _ in range(2))
    tuned = tune("pairs", Embedded(left, right))
    assert tuned.measured.after["mrr"] == pytest.approx(tuned.measured.before["mrr"], abs=0.08)
    assert tuned.measured.rounds < Course().rounds


@pytest.mark.parametrize("kind", ["pairs", "triplets", "scores"])
def test_the_slope_is_that_of_the_loss(kind: str) -> None:
    vectors = _pairs(12)
    if kind == "triplets":
        vectors = Embedded(vectors.left, vectors.right, _wrong(vectors))
    if kind == "scores":
        vectors = Embedded(vectors.left, vectors.right, scores=_RANDOM.random(12))
    matrix = np.eye(_DIMENSIONS) + 0.1 * _RANDOM.standard_normal((_DIMENSIONS, _DIMENSIONS))
    loss, slope = _loss(kind, matrix, vectors)
    for place in [(0, 0), (3, 9), (15, 2)]:
        moved = matrix.copy()
        moved[place] += 1e-5
        assert (_loss(kind, moved, vectors)[0] - loss) / 1e-5 == pytest.approx(
            slope[place], rel=1e-2, abs=1e-4
        )


def test_the_same_examples_give_the_same_adapter() -> None:
    pairs = _pairs(80)
    one, other = tune("pairs", pairs), tune("pairs", pairs)
    assert one.adapter.name == other.adapter.name
    assert tune("pairs", pairs, Course(seed=1)).adapter.name != one.adapter.name


def test_measures_are_those_of_their_definitions() -> None:
    near = np.eye(4, dtype=np.float32)
    found = measure("pairs", Embedded(near, near[[0, 1, 3, 2]]))
    assert found["recall@1"] == 0.5
    likeness = Embedded(
        near, unit(near + np.array([[0], [1], [2], [3]], np.float32)), scores=np.array([4.0, 3, 2, 1])
    )
    assert measure("scores", likeness)["spearman"] == pytest.approx(1.0)


_HEADS = {"pairs": "anchor,positive", "triplets": "anchor,positive,negative", "scores": "text_a,text_b,score"}


@pytest.mark.parametrize("kind", _HEADS)
def test_the_columns_say_what_a_file_holds(tmp_path: Path, kind: str) -> None:
    rows = [",".join([f"川 {n}", f"river {n}", str(n)][: _HEADS[kind].count(",") + 1]) for n in range(20)]
    (tmp_path / "e.csv").write_text("\n".join([_HEADS[kind], *rows]), "utf-8")
    found = Examples.read(tmp_path / "e.csv")
    assert (found.kind, found.left[0], found.right[19]) == (kind, "川 0", "river 19")
    assert list(found.scores) == (list(range(20)) if kind == "scores" else [])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "it needs one of anchor, positive, negative; text_a, text_b, score; anchor, positive"),
        ("anchor,positive\na,b\n", "has 1 examples; it takes 20"),
        ("anchor,positive\n" + "a,b\n" * 20 + "a,\n", "has no 'positive'"),
        ("text_a,text_b,score\n" + "a,b,much\n" * 20, "the score 'much', which is no number"),
    ],
)
def test_a_file_that_cannot_be_learned_from_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "e.csv").write_text(text, "utf-8")
    with pytest.raises(InputError, match=said):
        Examples.read(tmp_path / "e.csv")
    with pytest.raises(InputError, match="there is no file"):
        Examples.read(tmp_path / "none.csv")


def test_scores_that_are_all_the_same_teach_nothing() -> None:
    examples = Examples("scores", ["a"] * 20, ["b"] * 20, scores=[1.0] * 20)
    with pytest.raises(InputError, match="all scores are 1"):
        Embedded.of(
            examples,
            lambda texts: np.eye(len(texts), dtype=np.float32),
            lambda texts: np.eye(len(texts), dtype=np.float32),
        )


@pytest.mark.parametrize("values", [{"rounds": 0}, {"batch": 1}, {"rate": 0.0}, {"hold": -1.0}])
def test_a_course_that_makes_no_sense_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(InputError):
        Course(**values)  # type: ignore[arg-type]
