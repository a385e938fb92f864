"""Splitters outside of runs, and the vectors that this process makes for them."""

import numpy as np
import pytest

from infra.embedding_form import DEFAULT_SPACE
from infra.splitter_form import SplitterConfig
from infra.splitters import make_embed, make_splitter, named_space
from pipeline.errors import InputError, UsageError
from pipeline.space import Space
from pipeline.tokens import counter_for

PAID = Space("openai", "text-embedding-3-small", 64)
TEXT = "Rivers carry water. They flow to the sea.\n\n山は高い。雪が積もる。"


def test_vectors_come_in_the_order_of_their_texts_however_many_there_are() -> None:
    embed = make_embed(DEFAULT_SPACE, "the test")
    texts = [f"river {number}" for number in range(1100)]
    found = embed(texts)
    assert found.shape == (1100, 256)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(found[1050], embed([texts[1050]])[0], atol=1e-6)


def test_a_text_without_a_vector_has_zeros_and_costs_no_other_its_own() -> None:
    found = make_embed(DEFAULT_SPACE, "the test")(["river", "", "山", "\ud800", "sea"])
    assert found.any(axis=1).tolist() == [True, False, True, False, True]
    assert make_embed(DEFAULT_SPACE, "the test")([]).shape == (0, 256)


@pytest.mark.parametrize("kind", ["markdown", "recursive", "sentence", "fixed", "semantic"])
def test_a_splitter_counts_as_the_space_does(kind: str) -> None:
    chunks = make_splitter(
        SplitterConfig.model_validate({"kind": kind, "max_tokens": 16}).spec(), DEFAULT_SPACE
    )
    found = chunks.split(TEXT)
    assert len(found) > 1
    embedded = [chunk.embedded(TEXT) for chunk in found]
    assert [chunk.tokens for chunk in found] == counter_for(DEFAULT_SPACE).count(embedded)


def test_vectors_that_would_have_to_be_paid_for_are_refused_with_what_to_do() -> None:
    make_splitter(SplitterConfig(kind="recursive").spec(), PAID)
    with pytest.raises(UsageError) as raised:
        make_splitter(SplitterConfig(kind="semantic").spec(), PAID)
    said = str(raised.value)
    assert said.startswith(
        "the semantic splitter needs vectors, and those of openai/text-embedding-3-small@64"
    )
    assert "vecmill ingest" in said
    assert DEFAULT_SPACE.name in said


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("local/wordllama@100", "there is no local space local/wordllama@100; choose one of"),
        ("cohere/x@3", "there is no provider 'cohere'"),
        ("wordllama", "write provider/model@dimensions"),
    ],
)
def test_a_space_that_is_not_there_is_refused(name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        named_space(name)


def test_a_space_is_taken_by_its_name() -> None:
    assert named_space(DEFAULT_SPACE.name) == DEFAULT_SPACE
    assert named_space(PAID.name) == PAID
