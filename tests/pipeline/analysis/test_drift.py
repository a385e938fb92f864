"""Drift: an alarm where what is new is of another kind, and none where it is not."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.analysis.drift import Alarm, Drift, Side, drift
from pipeline.analysis.energy import Sample, energy_test
from pipeline.analysis.kmeans import unit
from pipeline.errors import InputError
from pipeline.ports import Vectors
from tests.pipeline.analysis.made import around, made

_TOPICS, _DIMENSIONS = 6, 24
_CENTRES = unit(np.random.default_rng(99).standard_normal((_TOPICS + 2, _DIMENSIONS), np.float32))


class Corpus:
    """Documents of four chunks, each document about one topic."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._random = np.random.default_rng(seed)
        self.texts: list[str] = []
        self.doc_ids: list[str] = []
        self.vectors: Vectors = np.zeros((0, _DIMENSIONS), np.float32)

    def add(self, documents: int, topics: int = _TOPICS, first: int = 0, turned: bool = False) -> "Corpus":
        """More documents: each of one of some topics; `turned` as another model would embed them."""
        about = np.repeat(first + self._random.integers(topics, size=documents), 4)
        noise = unit(self._random.standard_normal((len(about), _DIMENSIONS), np.float32))
        vectors = unit(_CENTRES[about] + 0.8 * noise)
        start = len(self.texts)
        self.texts += [f"text {start + number} on topic {topic}" for number, topic in enumerate(about)]
        self.doc_ids += [f"doc-{(start + number) // 4}.md" for number in range(len(about))]
        self.vectors = np.concatenate([self.vectors, vectors[:, ::-1] if turned else vectors])
        return self

    def side(self, name: str, start: int = 0) -> Side:
        """What there is by now, from a chunk on."""
        kept = slice(start, None)
        return Side(name, made(self._folder, self.vectors[kept], self.texts[kept], self.doc_ids[kept]))


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return Corpus(tmp_path, 1).add(100)


def _of(before: Side, after: Side) -> Drift:
    return drift(before, after, k=3)


@pytest.mark.parametrize("seeds", [range(3), pytest.param(range(3, 50), marks=pytest.mark.slow)])
def test_fifty_honest_ingests_raise_no_alarm(tmp_path: Path, seeds: range) -> None:
    for seed in seeds:
        one = Corpus(tmp_path, seed).add(60)
        before = one.side("before")
        one.add(15)
        # Some of the old documents go, some new ones come.
        found = _of(before, one.side("after", start=24))
        assert not found.alarm, (seed, found.reasons)
        assert found.new is not None
        assert found.new.documents_after == 15


def test_another_topic_raises_the_alarm(corpus: Corpus) -> None:
    before = corpus.side("version 1")
    found = _of(before, corpus.add(15, topics=1, first=_TOPICS).side("version 2"))
    assert found.alarm
    assert any("what is new in version 2 differs" in reason for reason in found.reasons)
    assert found.new is not None
    assert found.new.effect is not None
    assert found.new.effect > 0.1
    largest = found.new.shares[0]
    assert largest.p <= 0.001
    assert largest.after - largest.before > 0.5


def test_a_topic_among_many_that_grows_moves_the_shares(corpus: Corpus) -> None:
    before = corpus.side("before")
    found = _of(before, corpus.add(200, topics=1).side("after", start=400))
    assert found.alarm
    assert found.whole.centroid_shift > 0.1
    assert found.same_texts == 0


def test_another_model_behind_the_same_name_raises_the_alarm(corpus: Corpus) -> None:
    before = corpus.side("version 1")
    found = _of(before, corpus.add(20, turned=True).side("version 2"))
    assert found.alarm


def test_the_same_texts_with_other_vectors_raise_the_alarm(corpus: Corpus, tmp_path: Path) -> None:
    before = corpus.side("version 1")
    corpus.vectors = np.ascontiguousarray(corpus.vectors[:, ::-1])
    found = _of(before, corpus.side("version 2"))
    assert (found.same_texts, found.new) == (400, None)
    assert found.same_texts_cosine is not None
    assert found.same_texts_cosine < 0.9
    assert "is it another model?" in found.reasons[-1]


def test_nothing_differs_from_itself(corpus: Corpus) -> None:
    found = _of(corpus.side("version 1"), corpus.side("version 2"))
    assert not found.alarm
    assert found.whole.effect is not None
    assert found.whole.effect < 0.01
    assert found.same_texts_cosine == pytest.approx(1, abs=1e-5)
    assert found.new is None
    assert found.record()["alarm"] is False


def test_of_few_documents_nothing_is_told(corpus: Corpus) -> None:
    before = corpus.side("before")
    found = _of(before, corpus.add(3, topics=1, first=_TOPICS).side("after"))
    assert found.new is not None
    assert (found.new.p, found.new.effect) == (None, None)
    assert not found.alarm


def test_two_spaces_are_not_compared(tmp_path: Path, corpus: Corpus) -> None:
    other = Side("version 2", made(tmp_path, around(2, 20, dimensions=8)))
    with pytest.raises(InputError, match="vectors of two spaces cannot be compared"):
        drift(corpus.side("version 1"), other)


@pytest.mark.parametrize("values", [{"p": -0.1}, {"effect": 2.0}])
def test_an_alarm_that_cannot_be_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(InputError, match="it is between 0 and 1"):
        Alarm(**values)


def test_the_effect_is_the_energy_coefficient_of_its_definition() -> None:
    one, other = around(2, 15, seed=3, spread=1.0), around(2, 10, seed=4, spread=1.0)
    labels = np.zeros(50, np.int64)
    found = energy_test(
        Sample(one, np.repeat(np.arange(10), 3)), Sample(other, np.repeat(np.arange(10), 2)), labels, deals=10
    )

    def mean(a: Vectors, b: Vectors) -> float:
        return float(np.linalg.norm(a[:, None] - b[None], axis=2).mean())

    across = 2 * mean(one, other)
    assert found.effect == pytest.approx((across - mean(one, one) - mean(other, other)) / across, abs=1e-4)


def test_chance_is_told_right_where_there_is_nothing_but_chance() -> None:
    found = []
    for seed in range(100):
        random = np.random.default_rng(seed)
        topics = _CENTRES[np.repeat(random.integers(_TOPICS, size=40), 4)]
        noise = unit(random.standard_normal(topics.shape).astype(np.float32))
        vectors, documents = unit(topics + 0.3 * noise), np.repeat(np.arange(20), 4)
        labels = (vectors @ _CENTRES.T).argmax(axis=1)
        test = energy_test(
            Sample(vectors[:80], documents), Sample(vectors[80:], documents), labels, deals=99, seed=seed
        )
        found.append((test.p, min(test.shares_p)))
    p, shares = np.array(found).T
    # Chunks of a document are alike: dealt out one by one, nearly all of these would be below 0.1.
    assert 2 <= (p <= 0.1).sum() <= 20
    assert (shares <= 0.1).sum() <= 20
