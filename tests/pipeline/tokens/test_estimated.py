"""Estimates, against the tokenizers there are, and against bytes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import toktok
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.tokens import EstimatedTokens, LocalTokens, OpenAITokens
from tests.pipeline.tokens.support import CORPORA, TEXTS, generated, pieces_of, texts_of

_PAGES = sorted((Path(__file__).parents[3] / "flows" / "samples").rglob("*.md"))


def _most(texts: Sequence[str]) -> list[int]:
    """The most tokens that any of the tokenizers at hand gives each text."""
    counts = [toktok.batch_count(texts, name, threads=1) for name in ("cl100k_base", "o200k_base", "qwen3.5")]
    most: list[int] = np.max([*counts, LocalTokens().count(texts)], axis=0).tolist()
    return most


def _below(texts: Sequence[str]) -> list[str]:
    """The texts whose estimate is below the truth."""
    counts = zip(texts, EstimatedTokens().count(texts), _most(texts), strict=True)
    return [text for text, estimate, most in counts if estimate < most]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("a", 2),
        ("川", 4),
        ("e" * 100, 29),
        ("x" * 100, 101),
        ("川" * 100, 242),
        ("の" * 100, 117),
        ("鑿" * 100, 301),
        ("e川" * 50, 136),
        ("я" * 100, 129),
        ("👩", 5),
    ],
)
def test_estimates_follow_their_formula(text: str, tokens: int) -> None:
    assert EstimatedTokens().count([text]) == [tokens]


@pytest.mark.parametrize("name", CORPORA)
def test_no_piece_of_any_shared_text_has_more_tokens_than_its_estimate(name: str) -> None:
    assert _below(sorted(set(pieces_of(texts_of(name))))) == []


@pytest.mark.parametrize("size", [20, 150, 1000])
def test_no_generated_text_has_more_tokens_than_its_estimate(size: int) -> None:
    texts = generated(size)
    below = _below([*texts.values(), *TEXTS])
    assert [name for name, text in texts.items() if text in below] + [
        text for text in TEXTS if text in below
    ] == []


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: f"{page.parent.name}/{page.stem}")
def test_estimates_of_prose_are_at_most_three_times_over(page: Path) -> None:
    text = page.read_text("utf-8")
    assert _below(list(pieces_of([text]))) == []
    estimate = EstimatedTokens().count([text])[0]
    for counter in (LocalTokens(), OpenAITokens()):
        assert estimate <= 3 * counter.count([text])[0]


@given(st.text(max_size=40))
@settings(max_examples=200, deadline=None)
def test_no_byte_level_tokenizer_gives_more_tokens_than_bytes_and_one(text: str) -> None:
    size = len(text.encode())
    assert LocalTokens().count([text])[0] <= size + 1
    assert OpenAITokens().count([text])[0] <= size
    assert EstimatedTokens().count([text])[0] <= size + 1


@given(st.text(max_size=40), st.text(max_size=5))
@settings(max_examples=200, deadline=None)
def test_estimates_grow_with_the_text(text: str, more: str) -> None:
    shorter, longer = EstimatedTokens().count([text, text + more])
    assert shorter <= longer
