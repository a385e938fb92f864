"""The embedded model: the same text gives the same vector, bit for bit, in whatever company."""

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.embedding.local import LocalProvider
from pipeline.errors import InputError, Rejected
from pipeline.job import Endpoint
from pipeline.ports import Embedded
from pipeline.space import Space
from pipeline.tokens import LocalTokens

TEXTS = [
    "Rivers carry water.",
    "川は水を運ぶ。",
    " ",
    "\n",
    "\x00",
    "\x80",
    "é",
    "🗻",
    "\u200b",
    "\ufeff",
    "word " * 500,
]


def _embed(texts: Sequence[str], dimensions: int = 64) -> Embedded:
    return asyncio.run(LocalProvider(Space("local", "wordllama", dimensions), Endpoint()).embed(texts))


@settings(max_examples=20, deadline=None)
@given(st.permutations(TEXTS), st.integers(1, len(TEXTS)))
def test_a_text_has_one_vector_whatever_travels_with_it(texts: list[str], first: int) -> None:
    alone = {text: _embed([text]).vectors[0] for text in texts[:2]}
    together = _embed([*texts[:first], *texts[:2]]).vectors
    assert (together[-2] == alone[texts[0]]).all()
    assert (together[-1] == alone[texts[1]]).all()


@pytest.mark.parametrize("dimensions", [64, 128, 256])
def test_vectors_are_normalised_and_of_the_dimensions_of_the_space(dimensions: int) -> None:
    found = _embed(TEXTS, dimensions)
    assert found.vectors.shape == (len(TEXTS), dimensions)
    assert found.vectors.dtype == np.float32
    assert np.linalg.norm(found.vectors, axis=1) == pytest.approx(1, abs=1e-6)


def test_fewer_dimensions_are_the_head_of_more() -> None:
    small, large = _embed(TEXTS, 64).vectors, _embed(TEXTS, 256).vectors[:, :64]
    assert small == pytest.approx(large / np.linalg.norm(large, axis=1, keepdims=True), abs=1e-6)


def test_it_bills_the_tokens_that_its_counter_counts() -> None:
    assert _embed(TEXTS).tokens == sum(LocalTokens().count(TEXTS))


def test_near_meanings_are_nearer_than_far_ones_in_both_languages() -> None:
    rain, shower, engine, ame, niwakaame, enjin = _embed(
        ["heavy rain", "a downpour of rain", "an engine", "大雨が降る", "激しい雨が降った", "エンジンの部品"],
        256,
    ).vectors
    assert rain @ shower > rain @ engine
    assert ame @ niwakaame > ame @ enjin


@pytest.mark.parametrize(("text", "reason"), [("", "is empty"), ("川\udcff", "lone surrogates")])
def test_a_text_that_has_no_vector_is_rejected_with_its_company_so_that_it_can_be_singled_out(
    text: str, reason: str
) -> None:
    with pytest.raises(Rejected, match=reason):
        _embed(["a", text])


@pytest.mark.parametrize("name", ["local/wordllama@255", "local/wordllama@512", "local/other@256"])
def test_another_space_is_refused_with_the_list_of_those_there_are(name: str) -> None:
    with pytest.raises(InputError) as caught:
        LocalProvider(Space.parse(name), Endpoint())
    assert str(caught.value) == (
        f"there is no local space {name}; choose one of "
        "local/wordllama@64, local/wordllama@128, local/wordllama@256"
    )
