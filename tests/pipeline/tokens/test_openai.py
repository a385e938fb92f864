"""OpenAI's tokens, against another tokenizer that carries the vocabulary."""

from itertools import accumulate, chain, pairwise, product
from operator import add

import bpe_openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.tokens import OpenAITokens
from tests.pipeline.tokens.support import CORPORA, TEXTS, documents, generated, texts_of

_ENCODING = bpe_openai.get_encoding("cl100k_base")
spaced = st.lists(st.text(max_size=12), max_size=40).flatmap(
    lambda lines: st.sampled_from(["\n", "\r\n", "\n\n", "\n \n", "。", " "]).map(lambda by: by.join(lines))
)
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
@settings(max_examples=150, deadline=None)
def test_counts_of_generated_documents_are_cl100k_base(text: str) -> None:
    assert OpenAITokens().count([text]) == _expected([text])


@pytest.mark.parametrize("name", CORPORA)
def test_counts_of_all_shared_texts_are_cl100k_base(name: str) -> None:
    texts = [text[:_MOST] for text in texts_of(name)]
    assert OpenAITokens().count(texts) == _expected(texts)


@given(st.one_of(documents, spaced))
@settings(max_examples=150, deadline=None)
def test_no_token_reaches_over_a_seam(text: str) -> None:
    seams = [found.start() for found in OpenAITokens.seam.finditer(text)]
    parts = [text[start:end] for start, end in pairwise([0, *seams, len(text)])]
    assert sum(OpenAITokens().count(parts)) == OpenAITokens().count([text])[0]


def test_between_any_two_characters_that_make_a_seam_tokens_end() -> None:
    letters = "aZ0" + "あゖーァヺ一龥漢"
    signs = [chr(code) for code in range(128)] + list("、。」』）\u3000\xa0é川ア３ⅷ\u0301\u200d👩\ud800")
    around = ["", "a", " ", "\n", "'", ".", "川", "。", "12", "/", "'s"]
    for before, behind in product([*letters, "\n"], signs):
        if OpenAITokens.seam.match(before + behind, 1):
            wholes = [one + before + behind + two for one, two in product(around, around)]
            parts = [(one + before, behind + two) for one, two in product(around, around)]
            counts = OpenAITokens().count(list(chain.from_iterable(parts)))
            assert OpenAITokens().count(wholes) == list(map(add, counts[::2], counts[1::2])), before + behind


@pytest.mark.parametrize("name", ["docs-fastapi-en-ja/en", "docs-ja-vue/vue-ja"])
def test_most_words_and_phrases_of_real_pages_end_at_a_seam(name: str) -> None:
    text = "\n\n".join(texts_of(name)[:20])
    assert len(OpenAITokens.seam.findall(text)) > len(text) / 25


@given(st.one_of(documents, spaced))
@settings(max_examples=100, deadline=None)
def test_tokens_end_where_what_they_spell_does(text: str) -> None:
    tokens = map(_ENCODING.decode_bytes, ([one] for one in _ENCODING.encode_ordinary(text)))
    begun = (sum(byte & 0xC0 != 0x80 for byte in token) for token in tokens)
    assert OpenAITokens().ends(text).tolist() == list(accumulate(begun))


def test_tokens_of_lone_surrogates_end_with_them() -> None:
    assert OpenAITokens().ends("a\ud800\n\ndc").tolist() == [1, 2, 2, 2, 4, 6]


@pytest.mark.parametrize("unit", ["川 ", "x!", "1a", "\n\n", "word "])
def test_long_texts_have_as_many_tokens_as_their_parts(unit: str) -> None:
    part, whole = OpenAITokens().count([unit * 10_000, unit * 400_000])
    assert abs(whole - 40 * part) <= 40
