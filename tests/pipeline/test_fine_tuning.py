"""Fine-tuning of a model itself; skipped where torch is not installed (the extra sentence-transformers)."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.embedding import connect
from pipeline.errors import InputError
from pipeline.examples import Examples
from pipeline.job import Endpoint
from pipeline.local_models import identified
from pipeline.ports import Vectors
from pipeline.space import Space
from pipeline.tuning import Course
from tests.models import DIMENSIONS, torch_folder

torch = pytest.importorskip("torch", reason="needs the extra sentence-transformers")
pytestmark = pytest.mark.filterwarnings("ignore")  # torch and transformers warn of their own doings

_QUICK = Course(rounds=12, batch=32, rate=5e-3, hold=0, patience=12)
_FROM, _TO = "abcdefghijkl", "かきくけこさしすせそたち"


def _examples(kind: str) -> Examples:
    """Letters, and the hiragana that stand for them: those held out are of letters known from others."""
    places = [(a, b) for a in range(12) for b in range(12)]
    left = [f"{_FROM[a]} {_FROM[b]}" for a, b in places]
    right = [f"{_TO[a]} {_TO[b]}" for a, b in places]
    wrong = [right[(place * 7 + 5) % len(right)] for place in range(len(right))]
    if kind == "triplets":
        return Examples(kind, left, right, wrong)
    if kind == "scores":
        mixed = [
            one if place % 2 else other for place, (one, other) in enumerate(zip(right, wrong, strict=True))
        ]
        alike = [
            sum(_TO.index(sign) in pair for sign in text.split())
            for text, pair in zip(mixed, places, strict=True)
        ]
        return Examples(kind, left, mixed, scores=alike)
    return Examples(kind, left, right)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """So small a model loses more by threads that meet than it gains."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Space:
    folder = torch_folder(tmp_path_factory.mktemp("models") / "small")
    return identified(Space("sentence-transformers", str(folder), DIMENSIONS))


@pytest.mark.parametrize(
    ("kind", "loss", "measure", "gain"),
    [
        ("pairs", "ranking", "mrr", 0.2),
        ("triplets", "ranking", "accuracy", 0.2),
        ("triplets", "triplet", "accuracy", 0.2),
        ("scores", "cosine", "spearman", 0.2),
    ],
)
def test_each_loss_falls_and_what_is_held_out_gets_better(
    space: Space, kind: str, loss: str, measure: str, gain: float
) -> None:
    from pipeline.fine_tuning import fine_tune

    told: list[tuple[int, float, float]] = []
    tuned = fine_tune(space, _examples(kind), _QUICK, loss, lambda *one: told.append(one))
    assert (tuned.loss, tuned.measured.kind, tuned.measured.learned) == (loss, kind, 108)
    assert min(tuned.losses.learned[-3:]) < 0.8 * tuned.losses.learned[0]
    assert min(tuned.losses.watched) < 0.9 * tuned.losses.watched[0]
    assert tuned.measured.after[measure] > tuned.measured.before[measure] + gain
    assert tuned.measured.better
    assert [number for number, _, _ in told] == list(range(1, tuned.measured.rounds + 1))


def test_what_is_written_is_a_space_with_the_vectors_that_were_measured(space: Space, tmp_path: Path) -> None:
    from pipeline.fine_tuning import fine_tune

    tuned = fine_tune(space, _examples("pairs"), replace(_QUICK, rounds=2))
    folder = tmp_path / "new" / "mine"
    tuned.write(folder)
    texts = ["a b", "か き", "Rivers carry water."]
    expected = tuned.library.encode(texts, normalize_embeddings=True)
    made = identified(Space("sentence-transformers", str(folder), DIMENSIONS))

    async def embedded(of: Space) -> Vectors:
        provider = connect(of, Endpoint(threads=1))
        try:
            return (await provider.embed(texts)).vectors
        finally:
            await provider.close()

    np.testing.assert_allclose(asyncio.run(embedded(made)), expected, atol=1e-5)
    assert not np.allclose(asyncio.run(embedded(space)), expected, atol=1e-2)
    assert made.weights != space.weights
    assert [path.name for path in folder.parent.iterdir()] == ["mine"]


def test_a_model_that_cuts_its_vectors_learns_by_their_beginnings(space: Space) -> None:
    from pipeline.fine_tuning import fine_tune

    cut = replace(space, dimensions=8, matryoshka=True)
    tuned = fine_tune(cut, _examples("pairs"), replace(_QUICK, rounds=8))
    assert tuned.measured.after["mrr"] > tuned.measured.before["mrr"] + 0.2


def test_learning_ends_where_what_is_watched_gets_no_better(space: Space) -> None:
    from pipeline.fine_tuning import fine_tune

    examples = _examples("pairs")
    mixed = np.random.default_rng(0).permutation(len(examples.right))
    nonsense = replace(examples, right=[examples.right[place] for place in mixed])
    tuned = fine_tune(space, nonsense, replace(_QUICK, rounds=30, patience=2))
    assert tuned.measured.rounds < 30
    assert len(tuned.losses.watched) == tuned.measured.rounds + 1


def test_a_loss_is_refused_for_examples_that_it_does_not_fit() -> None:
    from pipeline.fine_tuning import chosen

    with pytest.raises(InputError, match="the loss 'cosine' is none for pairs; choose of ranking"):
        chosen("pairs", "cosine")
