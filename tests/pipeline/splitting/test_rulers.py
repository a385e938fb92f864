"""Rulers: how far a bound reaches, near the truth in tokens and exact in characters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.splitting.rulers import Characters, Tokens
from pipeline.tokens import OpenAITokens
from tests.pipeline.splitting.support import Letters, Quarters, texts
from tests.support import corpus


def test_characters_reach_as_far_as_there_are_many() -> None:
    ruler = Characters()
    assert (ruler.reach(3, 10), ruler.back(13, 10)) == (13, 3)
    assert ruler.fits(3, 13, 10)
    assert not ruler.fits(3, 14, 10)
    assert ruler.sizes(["", "川", "ab"]) == [0, 1, 2]


@given(texts, st.integers(0, 200), st.integers(1, 60))
def test_a_token_a_character_reaches_as_far_as_characters_do(text: str, start: int, bound: int) -> None:
    start = min(start, len(text))
    ruler = Tokens(text, Letters())
    assert min(ruler.reach(start, bound), len(text)) >= start
    short = len([line for line in text.split("\n") if line]) > 1
    reached = min(ruler.reach(start, bound), len(text))
    assert reached <= start + bound
    assert short or reached == min(start + bound, len(text))


@given(texts, st.integers(1, 60), st.integers(1, 200))
def test_what_is_reached_back_keeps_to_the_bound(text: str, bound: int, end: int) -> None:
    end = min(end, len(text))
    if end:
        back = Tokens(text, Quarters()).back(end, bound)
        assert Quarters().count([text[max(0, back) : end]])[0] <= bound + 1


@pytest.mark.parametrize("name", ["docs-en-rust-rfcs/rfcs.parquet", "docs-ja-js-primer/js-primer.parquet"])
def test_a_bound_in_tokens_is_used_but_for_a_short_line(name: str) -> None:
    counter = OpenAITokens()
    for text in corpus(name)["text"].to_pylist()[:10]:
        ruler, start = Tokens(text, counter), 0
        while (reach := ruler.reach(start, 256)) < len(text):
            # What is left unused is less than an eighth: a line that short is not looked into.
            assert 200 <= counter.count([text[start:reach]])[0] <= 258
            start = reach
