"""Sums of tokens: exact between seams, and each character counted once."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.ports import OffsetCounter
from pipeline.splitting import sums
from pipeline.splitting.sums import Offsets, Stretches, sums_over
from pipeline.tokens import EstimatedTokens, LocalTokens, OpenAITokens
from tests.pipeline.splitting.support import Clinging, Letters, Quarters, Words, texts
from tests.support import corpus

_COUNTERS = [Letters(), Words(), OpenAITokens()]
_PLACES = st.integers(0, 300)


def test_the_most_exact_sums_are_taken() -> None:
    assert isinstance(sums_over("a", OpenAITokens()), Offsets)
    for counter in (LocalTokens(), EstimatedTokens(), Clinging()):
        assert isinstance(sums_over("a", counter), Stretches)


@pytest.mark.parametrize("counter", _COUNTERS)
@given(text=texts, start=_PLACES, end=_PLACES)
@example(text="\ud83d\ude00 a\ud800\n\n \n\ud800川。「川」 b", start=1, end=15)
@example(text="a.\r\n \r\n\r\n\tb 川\u3000\n\n", start=0, end=15)
@settings(deadline=None)
def test_what_lies_between_two_places_has_the_tokens_of_a_text_of_its_own(
    counter: OffsetCounter, text: str, start: int, end: int
) -> None:
    start, end = sorted((min(start, len(text)), min(end, len(text))))
    assert Offsets(text, counter).between(start, end) == counter.count([text[start:end]])[0]


@pytest.mark.parametrize("counter", _COUNTERS)
@given(text=texts)
@settings(deadline=None)
def test_a_place_is_where_its_tokens_end(counter: OffsetCounter, text: str) -> None:
    offsets, tokens = Offsets(text, counter), counter.count([text])[0]
    assert [offsets.place(0, 0), offsets.place(0, tokens + 1)] == [0, len(text) + 1]
    places = [offsets.place(0, number) for number in range(1, tokens + 1)]
    assert places == sorted(places)
    assert all(offsets.before(place) >= number for number, place in enumerate(places, 1))
    assert all(offsets.before(place - 1) < number for number, place in enumerate(places, 1))
    assert [offsets.place(len(text), -number) for number in range(1, tokens + 1)] == [*places[-2::-1], 0][
        :tokens
    ]


@given(texts, st.integers(1, 60))
@settings(deadline=None)
def test_a_text_that_is_read_in_parts_has_the_sums_of_one_that_is_not(text: str, size: int) -> None:
    whole = Offsets(text, OpenAITokens())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sums, "_CHARACTERS", size)
        parts = Offsets(text, OpenAITokens())
    places = range(len(text) + 1)
    assert [parts.before(at) for at in places] == [whole.before(at) for at in places]


@pytest.mark.parametrize("name", ["docs-en-rust-rfcs/rfcs.parquet", "docs-ja-js-primer/js-primer.parquet"])
def test_on_real_pages_little_is_counted_beside_the_sums(name: str) -> None:
    class Metered(OpenAITokens):
        characters = 0

        def count(self, texts: Sequence[str]) -> list[int]:
            self.characters += sum(map(len, texts))
            return super().count(texts)

    counter, characters = Metered(), 0
    for text in corpus(name)["text"].to_pylist()[:10]:
        offsets = Offsets(text, counter)
        characters += len(text)
        for start in range(0, len(text), 700):
            offsets.between(start, min(start + 700, len(text)))
    assert counter.characters < characters // 20


def test_stretches_share_their_tokens_out_evenly() -> None:
    stretches = Stretches("x" * 4000, Quarters())
    assert [stretches.before(at) for at in (0, 400, 2000, 4000)] == [0, 100, 500, 1000]
    assert [stretches.place(400, tokens) for tokens in (-101, -100, 0, 400, 900)] == [0, 0, 400, 2000, 4001]
    assert stretches.between(2, 4) == 1


def test_a_text_without_tokens_has_sums() -> None:
    offsets = Offsets("", OpenAITokens())
    assert [offsets.before(0), offsets.place(0, 0), offsets.place(0, 1), offsets.between(0, 0)] == [
        0,
        0,
        1,
        0,
    ]
    assert OpenAITokens().ends("").dtype == np.uint32
