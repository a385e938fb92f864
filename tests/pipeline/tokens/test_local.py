"""The embedded model's tokens, against its tokenizer itself."""

import re

import pytest
from hypothesis import given, settings

from pipeline import wordllama
from pipeline.tokens import LocalTokens
from pipeline.tokens.local import Units
from tests.pipeline.tokens.support import CORPORA, TEXTS, documents, generated, texts_of


def _expected(texts: list[str]) -> list[int]:
    encodings = wordllama.tokenizer().encode_batch_fast(texts, add_special_tokens=False)
    return [len(encoding) for encoding in encodings]


def test_known_texts_have_known_counts() -> None:
    assert LocalTokens().count(["Rivers carry water.", "川は水を運ぶ。"]) == [5, 10]


def test_counts_are_the_models_own_whatever_the_text_is_made_of() -> None:
    texts = [*TEXTS, *generated(500).values()]
    assert LocalTokens().count(texts) == _expected(texts)


@given(documents)
@settings(max_examples=300, deadline=None)
def test_counts_of_generated_documents_are_the_models_own(text: str) -> None:
    assert LocalTokens().count([text]) == _expected([text])


@pytest.mark.parametrize("name", CORPORA)
def test_counts_of_all_shared_texts_are_the_models_own(name: str) -> None:
    texts = texts_of(name)
    assert LocalTokens().count(texts) == _expected(texts)


def test_every_token_lies_within_a_unit() -> None:
    units = Units(wordllama.tokenizer())
    tokens = [
        token.replace("\u2581", " ")
        for token in wordllama.tokenizer().get_vocab()
        if len(token) > 1 and not re.fullmatch("<0x..>|<unk>|</?s>", token)
    ]
    assert len(tokens) > 29_000
    pairs = {token[at : at + 2] for token in tokens for at in range(len(token) - 1)}
    assert [pair for pair in pairs if units.found(pair) != [pair]] == []


def test_every_character_outside_of_units_is_a_token() -> None:
    units = Units(wordllama.tokenizer())
    model = wordllama.tokenizer().model
    alone = [sign for sign in map(chr, range(0xD800)) if not units.found(f"川{sign}川")]
    assert {"7", "\n", "の", "水"} <= set(alone)
    assert [sign for sign in alone if len(model.tokenize(sign)) != 1] == []


def test_so_many_units_are_remembered_and_no_more() -> None:
    units = Units(wordllama.tokenizer(), kept=8, longest=4)
    text = "one two, three four; five six: seven eight nine ten eleven twelve " * 3
    assert [units.count(text)] == _expected([text])
    assert 0 < len(units) <= 8
    assert max(map(len, units)) <= 4
