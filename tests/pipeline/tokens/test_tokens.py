"""What all token counters have in common."""

import pickle

import pytest

from pipeline.ports import TokenCounter
from pipeline.space import Space
from pipeline.tokens import EstimatedTokens, LocalTokens, OpenAITokens, counter_for
from tests.pipeline.tokens.support import TEXTS

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
