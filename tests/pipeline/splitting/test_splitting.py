"""What holds for every splitter, text and counter."""

from itertools import pairwise

import pytest
from hypothesis import example, given, settings

from pipeline.errors import InputError
from pipeline.model import SplitterSpec
from pipeline.splitting import make
from pipeline.tokens import EstimatedTokens, LocalTokens, OpenAITokens
from tests.pipeline.splitting.support import (
    FAMILY,
    KINDS,
    Clinging,
    Letters,
    Quarters,
    checked,
    specs,
    split,
    texts,
)
from tests.support import corpus

_MIXED = f"# Rivers\r\n\r\nWater flows.\r\n\r\n## 川\r\n\r\n川は流れる。{FAMILY}\0e\u0301 " + "長い" * 60


def test_an_unknown_splitter_is_refused_with_the_names_of_the_known() -> None:
    with pytest.raises(InputError, match="no splitter 'semantic'; choose one of markdown, recursive"):
        make(SplitterSpec("semantic"), Letters())


@given(texts, specs())
@settings(max_examples=400, deadline=None)
@example(_MIXED, SplitterSpec("markdown", 16, 8))
@example("\r\n" * 9 + "a" + "\u0301" * 99, SplitterSpec("recursive", 8, 4))
def test_chunks_are_exact_ordered_bounded_and_complete(text: str, spec: SplitterSpec) -> None:
    checked(text, spec, Letters())


@given(texts, specs())
@settings(max_examples=200, deadline=None)
def test_the_bound_holds_where_joined_pieces_cost_more_than_their_sum(text: str, spec: SplitterSpec) -> None:
    checked(text, spec, Clinging())


@pytest.mark.parametrize("counter", [LocalTokens(), OpenAITokens(), EstimatedTokens()])
@given(text=texts, spec=specs())
@settings(max_examples=60, deadline=None)
def test_chunks_hold_with_every_real_counter(
    counter: LocalTokens | OpenAITokens | EstimatedTokens, text: str, spec: SplitterSpec
) -> None:
    checked(text, spec, counter)


@given(texts, specs())
@settings(max_examples=200, deadline=None)
def test_neighbours_share_at_most_the_overlap(text: str, spec: SplitterSpec) -> None:
    chunks = make(spec, Quarters()).split(text)
    shared = [text[after.start : before.end] for before, after in pairwise(chunks)]
    assert all(tokens <= spec.overlap_tokens for tokens in Quarters().count(shared))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("blank", ["", " ", "\n", "\r\n\r\n", " \t\n\u3000\n", " " * 5000, "\n" * 5000])
def test_a_text_of_nothing_but_white_space_has_no_chunks(kind: str, blank: str) -> None:
    assert split(blank, Letters(), kind) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "character", ["a", "あ", "。", ".", "\0", "🇯🇵", "#", "`", FAMILY, "-", "|", "\u0301"]
)
def test_endless_runs_of_one_character_are_cut_to_the_bound(kind: str, character: str) -> None:
    text = character * (200_000 if character == "a" else 3_000)
    chunks = checked(text, SplitterSpec(kind, 40, 10), LocalTokens())
    if character != "\u0301":  # all of them together are one grapheme
        assert len(chunks) > 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_grapheme_longer_than_the_bound_stands_alone_and_whole(kind: str) -> None:
    stacked = "a" + "\u0301" * 20
    assert split(f"left\n\n{stacked}\n\nright", Letters(), kind, 8) == ["left", stacked, "right"]


@pytest.mark.parametrize("kind", KINDS)
def test_windows_line_ends_stay_in_the_text_and_are_never_cut_in_two(kind: str) -> None:
    text = "One line.\r\nTwo lines.\r\n\r\nA paragraph.\r\n"
    assert split(text, Letters(), kind, 26) == ["One line.\r\nTwo lines.", "A paragraph."]


@pytest.mark.parametrize("kind", KINDS)
def test_old_macintosh_line_ends_are_line_ends(kind: str) -> None:
    assert split("First words\r\rSecond words\r\rThird", Letters(), kind, 14) == [
        "First words",
        "Second words",
        "Third",
    ]


@pytest.mark.parametrize("spec", [SplitterSpec("markdown", 64, 16), SplitterSpec("recursive", 256, 0)])
@pytest.mark.parametrize("name", ["docs-en-rust-rfcs/rfcs.parquet", "docs-ja-js-primer/js-primer.parquet"])
def test_real_pages_of_both_languages_hold(name: str, spec: SplitterSpec) -> None:
    for text in corpus(name)["text"].to_pylist()[:12]:
        checked(text, spec, OpenAITokens())
