"""Rulers: how far a bound reaches, near the truth in tokens and exact in characters."""

from collections.abc import Sequence
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ports import TokenCounter
from pipeline.splitting.rulers import Characters, Tokens
from pipeline.tokens import OpenAITokens
from tests.pipeline.splitting.support import Letters, Quarters, Words, texts
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


@given(
    texts, st.integers(0, 200), st.integers(0, 200), st.sampled_from(["", "川\n\n", "a > b\n\n", "x", " "])
)
@settings(deadline=None)
@pytest.mark.parametrize("counter", [Letters(), Quarters(), Words(), OpenAITokens()])
def test_what_is_told_of_a_chunk_behind_its_prefix_is_its_count(
    counter: TokenCounter, text: str, start: int, end: int, prefix: str
) -> None:
    start, end = sorted((min(start, len(text)), min(end, len(text))))
    ruler = Tokens(text, counter)
    if start < end:
        assert ruler.told(start, end, prefix) in (None, *counter.count([prefix + text[start:end]]))
    if not prefix:
        assert ruler.over(start, end, 0) == ruler.told(start, end, "") == counter.count([text[start:end]])[0]


def test_behind_a_heading_only_the_heading_is_counted() -> None:
    class Once(Letters):
        counted: ClassVar[list[str]] = []

        def count(self, texts: Sequence[str]) -> list[int]:
            self.counted.extend(texts)
            return super().count(texts)

    ruler = Tokens("One river. Two rivers.", Once())
    assert [ruler.told(0, 10, "Rivers\n\n"), ruler.told(11, 22, "Rivers\n\n")] == [18, 19]
    assert Once.counted == ["Rivers\n\n"]


@pytest.mark.parametrize("name", ["docs-en-rust-rfcs/rfcs.parquet", "docs-ja-js-primer/js-primer.parquet"])
def test_sums_tell_the_reach_of_a_bound_in_tokens_nearly(name: str) -> None:
    counter = OpenAITokens()
    for text in corpus(name)["text"].to_pylist()[:10]:
        ruler, start = Tokens(text, counter), 0
        while (reach := ruler.reach(start, 256)) < len(text):
            assert 220 <= counter.count([text[start:reach]])[0] <= 292
            start = reach
