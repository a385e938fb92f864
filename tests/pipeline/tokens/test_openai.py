"""OpenAI's tokens, against another tokenizer that carries the vocabulary."""

import re

import bpe_openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.tokens import OpenAITokens
from tests.pipeline.tokens.support import CORPORA, TEXTS, documents, generated, texts_of

_ENCODING = bpe_openai.get_encoding("cl100k_base")
_MOST = 50_000  # characters: the other tokenizer refuses texts beyond 200,000 tokens


def _expected(texts: list[str]) -> list[int]:
    return [len(_ENCODING.encode_ordinary(text)) for text in texts]


def test_known_texts_have_known_counts() -> None:
    assert OpenAITokens().count(["hello world", "tiktoken is great!", "お誕生日おめでとう"]) == [2, 6, 9]
    assert OpenAITokens().count(["<|endoftext|>"]) == [7]  # as text: the endpoint does the same


def test_counts_are_cl100k_base_whatever_the_text_is_made_of() -> None:
    texts = [*TEXTS, *generated(500).values()]
    assert OpenAITokens().count(texts) == _expected(texts)


@given(documents)
@settings(max_examples=300, deadline=None)
def test_counts_of_generated_documents_are_cl100k_base(text: str) -> None:
    assert OpenAITokens().count([text]) == _expected([text])


@pytest.mark.parametrize("name", CORPORA)
def test_counts_of_all_shared_texts_are_cl100k_base(name: str) -> None:
    texts = [text[:_MOST] for text in texts_of(name)]
    assert OpenAITokens().count(texts) == _expected(texts)


@given(st.lists(st.text(max_size=12), max_size=40).map("\n".join))
@settings(max_examples=100, deadline=None)
def test_no_token_reaches_over_a_lines_end_into_the_next_word(text: str) -> None:
    lines = re.split(r"(?<=\n)(?=\S)", text)
    assert sum(OpenAITokens().count(lines)) == OpenAITokens().count([text])[0]


@pytest.mark.parametrize("unit", ["川 ", "x!", "1a", "\n\n", "word "])
def test_long_texts_have_as_many_tokens_as_their_parts(unit: str) -> None:
    part, whole = OpenAITokens().count([unit * 10_000, unit * 400_000])
    assert abs(whole - 40 * part) <= 40
