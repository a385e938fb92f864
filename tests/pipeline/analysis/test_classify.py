"""Zero-shot classes, and a cascade of dimensions."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.analysis.classify import Classes, Learned, Stage, classify, learn, margins
from pipeline.analysis.kmeans import unit
from pipeline.errors import InputError
from tests.pipeline.analysis.made import around, made

_CENTRES = around(3, 1, dimensions=64)
_CLASSES = Classes(("a", "b", "c"), _CENTRES)


def test_each_chunk_gets_the_nearest_category(tmp_path: Path) -> None:
    vectors = around(3, 20, dimensions=64)
    found = classify(made(tmp_path, vectors), Classes(("a", "b", "c"), unit(vectors[::20] + vectors[1::20])))
    assert found["classes"] == {"a": 20, "b": 20, "c": 20}
    assert [row["label"] for row in found["rows"]] == list("a" * 20 + "b" * 20 + "c" * 20)
    assert all(1 / 3 < row["probability"] <= 1 for row in found["rows"])
    assert found["dimensions"] == 64


def test_probabilities_are_a_softmax_whose_temperature_says_how_sure() -> None:
    vectors = around(3, 5, dimensions=64, spread=1.0)
    found = _CLASSES.probabilities(vectors)
    raw = np.exp(vectors @ _CENTRES.T / 0.05)
    assert np.allclose(found, raw / raw.sum(axis=1, keepdims=True), atol=1e-5)
    warmer = Classes(_CLASSES.names, _CENTRES, temperature=1.0).probabilities(vectors)
    assert (warmer.max(axis=1) < found.max(axis=1)).all()
    assert (warmer.argmax(axis=1) == found.argmax(axis=1)).all()


def test_a_document_has_the_mean_of_its_chunks(tmp_path: Path) -> None:
    vectors = np.concatenate([_CENTRES[:1], _CENTRES[1:2], _CENTRES[1:2], _CENTRES[2:]])
    population = made(tmp_path, vectors, doc_ids=["x", "x", "x", "y"])
    found = classify(population, _CLASSES, by_document=True)
    assert [(row["doc_id"], row["label"]) for row in found["rows"]] == [("x", "b"), ("y", "c")]
    mean = _CLASSES.probabilities(vectors[:3]).mean(axis=0)
    assert found["rows"][0]["probability"] == pytest.approx(float(mean.max()), abs=1e-6)


def _sample(count: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Labelled vectors, of which the first dimensions tell most, but not all."""
    random = np.random.default_rng(5)
    labels = random.integers(3, size=count)
    noise = unit(random.standard_normal((count, 64)).astype(np.float32))
    return unit(_CENTRES[labels] + 1.2 * noise), labels


def _learned(steps: list[int]) -> Learned:
    vectors, labels = _sample()
    return learn(_CLASSES, vectors, labels, steps)


def test_a_cascade_loses_no_accuracy_and_compares_fewer_dimensions() -> None:
    found = _learned([8, 32])
    assert [stage.dimensions for stage in found.cascade] == [8, 32, 64]
    assert found.cascade[-1].margin == 0
    assert found.accuracy >= found.accuracy_full - 0.03
    assert found.dimensions < 64
    assert found.examples == 300


def test_what_a_step_is_sure_of_is_decided_there_and_the_rest_by_all() -> None:
    vectors, _ = _sample()
    dealt = Classes(_CLASSES.names, _CENTRES, cascade=(Stage(8, 0.5), Stage(64, 0.0)))
    label, sure, used = dealt.decide(vectors)
    early = margins(_CLASSES.probabilities(vectors, 8)) >= 0.5
    assert (used == np.where(early, 8, 64)).all()
    assert 0 < early.sum() < len(vectors)
    full = _CLASSES.probabilities(vectors)
    assert (label[~early] == full[~early].argmax(axis=1)).all()
    assert np.allclose(sure[~early], full[~early].max(axis=1), atol=1e-6)


def test_a_step_that_is_never_right_decides_nothing() -> None:
    vectors, labels = _sample()
    # The first dimensions of these categories are those of the next one.
    crossed = _CENTRES.copy()
    crossed[:, :8] = np.roll(_CENTRES[:, :8], 1, axis=0) * 3
    found = learn(Classes(_CLASSES.names, unit(crossed)), vectors, labels, [8])
    assert found.cascade[0].margin > 0.9
    assert found.accuracy >= found.accuracy_full - 0.03


@pytest.mark.parametrize("steps", [[], [0], [64], [32, 8], [8, 8]])
def test_steps_that_are_no_cascade_are_refused(steps: list[int]) -> None:
    with pytest.raises(InputError, match="they grow, and are below the space's 64 dimensions"):
        _learned(steps)


@pytest.mark.parametrize(("names", "temperature"), [(("a",), 1.0), (("a", "a"), 1.0), (("a", "b"), 0.0)])
def test_categories_that_make_no_sense_are_refused(names: tuple[str, ...], temperature: float) -> None:
    with pytest.raises(InputError):
        Classes(names, _CENTRES[: len(names)], temperature)
