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
    start, ruler = min(start, len(text)), Tokens(text, Letters())
    assert min(ruler.reach(start, bound), len(text)) == min(start + bound, len(text))
    assert ruler.back(start, bound) == max(0, start - bound)


@given(texts, st.integers(0, 200), st.integers(0, 200), st.integers(1, 60))
def test_where_sums_leave_a_doubt_it_is_counted(text: str, start: int, end: int, bound: int) -> None:
    start, end = sorted((min(start, len(text)), min(end, len(text))))
    ruler = Tokens(text, Quarters())
    [tokens] = Quarters().count([text[start:end]])
    assert ruler.fits(start, end, bound) == (tokens <= bound)
    assert ruler.over(start, end, bound) == tokens - bound
    assert ruler.counted[start, end] == tokens


@pytest.mark.parametrize("name", ["docs-en-rust-rfcs/rfcs.parquet", "docs-ja-js-primer/js-primer.parquet"])
def test_sums_tell_the_reach_of_a_bound_in_tokens_nearly(name: str) -> None:
    counter = OpenAITokens()
    for text in corpus(name)["text"].to_pylist()[:10]:
        ruler, start = Tokens(text, counter), 0
        while (reach := ruler.reach(start, 256)) < len(text):
            assert 220 <= counter.count([text[start:reach]])[0] <= 292
            start = reach
