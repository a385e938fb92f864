"""Token counters, against the tokenizers themselves and against arithmetic."""

import pickle
import re
from pathlib import Path

import bpe_openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import wordllama
from pipeline.model import Space
from pipeline.tokens import EstimatedTokens, LocalTokens, OpenAITokens, counter_for

_PAGES = sorted((Path(__file__).parents[2] / "flows" / "samples").rglob("*.md"))
_ENCODING = bpe_openai.get_encoding("cl100k_base")
_TEXTS = [
    "",
    " ",
    "Rivers carry water.",
    "川は水を運ぶ。",
    "a\0b",
    "👩\u200d👧",
    "<|endoftext|>",
    "</s>",
    "\r\n\t",
]


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


@pytest.mark.parametrize("counter", [LocalTokens(), OpenAITokens(), EstimatedTokens()])
def test_counters_pickle_and_count_each_text_by_itself(
    counter: LocalTokens | OpenAITokens | EstimatedTokens,
) -> None:
    copy = pickle.loads(pickle.dumps(counter))
    assert copy.count(_TEXTS) == [counter.count([text])[0] for text in _TEXTS]
    assert copy.count([]) == []
    assert copy.count([""]) == [0]


def test_local_counts_are_the_models_own() -> None:
    tokenizer = wordllama.tokenizer()
    expected = [len(tokenizer.encode(text, add_special_tokens=False).ids) for text in _TEXTS]
    assert LocalTokens().count(_TEXTS) == expected
    assert LocalTokens().count(["Rivers carry water.", "川は水を運ぶ。"]) == [5, 10]


def test_openai_counts_are_cl100k_base() -> None:
    assert OpenAITokens().count(["hello world", "tiktoken is great!", "お誕生日おめでとう"]) == [2, 6, 9]
    assert OpenAITokens().count(["<|endoftext|>"]) == [7]  # as text: the endpoint does the same


@given(st.lists(st.text(max_size=12), max_size=40).map("\n".join))
@settings(max_examples=100, deadline=None)
def test_no_token_reaches_over_a_lines_end_into_the_next_word(text: str) -> None:
    lines = re.split(r"(?<=\n)(?=\S)", text)
    assert sum(OpenAITokens().count(lines)) == OpenAITokens().count([text])[0]


def test_long_texts_with_line_ends_are_counted_exactly() -> None:
    text = "".join(f"line {at}, 川は流れる。\n\n  and more  \n" for at in range(4000))
    assert len(text) > 100_000
    assert OpenAITokens().count([text]) == [len(_ENCODING.encode_ordinary(text))]


def test_texts_beyond_what_the_tokenizer_takes_are_counted_all_the_same() -> None:
    with pytest.raises(Exception, match="exceeds chunk limit"):
        _ENCODING.encode_ordinary("川 " * 200_000)
    one_line, whole = OpenAITokens().count(["川 " * 200_000, "川 " * 20_000])
    assert abs(one_line - 10 * whole) <= 3 * 8


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("a", 1),
        ("川", 3),
        ("x" * 16, 16),
        ("x" * 17, 17),
        ("x" * 100, 58),
        ("x" * 101, 59),
        ("川" * 100, 158),
        ("x川" * 50, 108),
        ("👩", 4),
    ],
)
def test_estimates_follow_their_formula(text: str, tokens: int) -> None:
    assert EstimatedTokens().count([text]) == [tokens]


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: f"{page.parent.name}/{page.stem}")
def test_estimates_of_prose_lie_above_both_tokenizers(page: Path) -> None:
    paragraphs = page.read_text("utf-8").split("\n\n")
    estimated = EstimatedTokens().count(paragraphs)
    for counter in (LocalTokens(), OpenAITokens()):
        assert sum(counter.count(paragraphs)) <= sum(estimated)


@given(st.text(max_size=40))
@settings(max_examples=200, deadline=None)
def test_no_byte_level_tokenizer_gives_more_tokens_than_bytes_and_one(text: str) -> None:
    size = len(text.encode())
    assert LocalTokens().count([text])[0] <= size + 1
    assert OpenAITokens().count([text])[0] <= size
    assert EstimatedTokens().count([text])[0] <= size


@given(st.text(max_size=60), st.integers(-1, 40))
@settings(max_examples=200, deadline=None)
@pytest.mark.parametrize("counter", [LocalTokens(), OpenAITokens(), EstimatedTokens()])
def test_what_is_taken_comes_to_at_most_so_many_tokens(
    counter: LocalTokens | OpenAITokens | EstimatedTokens, text: str, tokens: int
) -> None:
    taken = counter.take(text, tokens)
    assert 0 <= taken <= len(text)
    assert counter.count([text[:taken]])[0] <= max(0, tokens)
    if taken < len(text):
        assert counter.count([text[: taken + 4]])[0] >= tokens
