"""What all token counters have in common."""

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.model import Space
from pipeline.ports import TokenCounter
from pipeline.tokens import EstimatedTokens, LocalTokens, OpenAITokens, counter_for
from tests.pipeline.tokens.support import TEXTS, documents, generated

_COUNTERS = [LocalTokens(), OpenAITokens(), EstimatedTokens()]


@pytest.mark.parametrize(
    ("space", "kind"),
    [
        ("local/wordllama@256", LocalTokens),
        ("openai/text-embedding-3-small@1536", OpenAITokens),
        ("openai/text-embedding-3-large@256", OpenAITokens),
        ("openai/text-embedding-ada-002@1536", OpenAITokens),
        ("openai/intfloat/multilingual-e5-small@384", EstimatedTokens),
    ],
)
def test_each_space_gets_the_most_exact_counter(space: str, kind: type) -> None:
    assert type(counter_for(Space.parse(space))) is kind


@pytest.mark.parametrize("counter", _COUNTERS)
def test_counters_pickle_and_count_each_text_by_itself(counter: TokenCounter) -> None:
    copy = pickle.loads(pickle.dumps(counter))
    assert copy.count(TEXTS) == [counter.count([text])[0] for text in TEXTS]
    assert copy.count([]) == []
    assert copy.count([""]) == [0]


@pytest.mark.parametrize("counter", _COUNTERS)
@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\ud83d\ude00", "川\udc00\ud800 x"])
def test_lone_surrogates_are_counted_as_three_tokens_or_as_their_bytes(
    counter: TokenCounter, text: str
) -> None:
    lone = sum("\ud800" <= sign <= "\udfff" for sign in text)
    replaced = "".join("\ufffd" if "\ud800" <= sign <= "\udfff" else sign for sign in text)
    tokens = counter.count([text])[0]
    assert tokens >= max(3 * lone, counter.count([replaced])[0])
    assert tokens <= len(text.encode("utf-8", "surrogatepass")) + 1
    assert counter.take(text, tokens) == len(text)


@given(documents, st.integers(-1, 60))
@settings(max_examples=150, deadline=None)
@pytest.mark.parametrize("counter", _COUNTERS)
def test_what_is_taken_is_the_most_that_comes_to_so_few_tokens_give_or_take_a_character(
    counter: TokenCounter, text: str, tokens: int
) -> None:
    taken = counter.take(text, tokens)
    assert 0 <= taken <= len(text)
    assert counter.count([text[:taken]])[0] <= max(0, tokens)
    if taken < len(text):
        assert counter.count([text[: taken + 4]])[0] >= tokens


@pytest.mark.parametrize("counter", _COUNTERS)
@pytest.mark.parametrize("unit", ["x", "川", "鬱", "7", " ", "!", "\n", "ab ", "👩", "</s>"])
def test_what_is_taken_does_not_depend_on_how_long_the_rest_is(counter: TokenCounter, unit: str) -> None:
    taken = counter.take(unit * 20_000, 64)
    assert 0 < taken == counter.take(unit * 200_000, 64)


@pytest.mark.parametrize("counter", _COUNTERS)
def test_what_is_taken_of_generated_texts_keeps_to_its_bound(counter: TokenCounter) -> None:
    for name, text in generated(400).items():
        for tokens in (1, 2, 17, 100):
            taken = counter.take(text, tokens)
            assert counter.count([text[:taken]])[0] <= tokens, name
            assert counter.count([text[: taken + 4]])[0] >= min(tokens, counter.count([text])[0]), name
