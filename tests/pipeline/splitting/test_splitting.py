"""What holds for every splitter, text and counter."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import example, given, settings

from pipeline.errors import InputError
from pipeline.splitter_spec import SplitterSpec
from pipeline.splitting import make
from pipeline.splitting.markdown import MarkdownSplitter
from pipeline.splitting.recursive import TextSplitter
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

_THAT_KNOW_LINES = [kind for kind in KINDS if kind != "fixed"]
_MIXED = f"# Rivers\r\n\r\nWater flows.\r\n\r\n## 川\r\n\r\n川は流れる。{FAMILY}\0e\u0301 " + "長い" * 60


def test_an_unknown_splitter_is_refused_with_the_names_of_the_known() -> None:
    with pytest.raises(InputError, match="no splitter 'semantic'; choose one of code, fixed, html, markdown"):
        make(SplitterSpec("semantic"), Letters())


@given(texts, specs())
@settings(max_examples=300, deadline=None)
@example(_MIXED, SplitterSpec("markdown", 16, 8))
@example("\r\n" * 9 + "a" + "\u0301" * 99, SplitterSpec("recursive", 8, 4))
def test_chunks_are_exact_ordered_bounded_and_complete(text: str, spec: SplitterSpec) -> None:
    checked(text, spec, Letters())


@given(texts, specs())
@settings(max_examples=120, deadline=None)
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
@settings(max_examples=120, deadline=None)
def test_neighbours_share_at_most_the_overlap(text: str, spec: SplitterSpec) -> None:
    chunks = make(spec, Quarters()).split(text)
    shared = [text[after.start : before.end] for before, after in pairwise(chunks)]
    sizes = Quarters().count(shared) if spec.max_characters is None else Letters().count(shared)
    assert all(size <= spec.overlap for size in sizes)


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


@pytest.mark.parametrize("kind", _THAT_KNOW_LINES)
def test_windows_line_ends_stay_in_the_text_and_are_never_cut_in_two(kind: str) -> None:
    text = "One line.\r\nTwo lines.\r\n\r\nA paragraph.\r\n"
    assert split(text, Letters(), kind, 26) == ["One line.\r\nTwo lines.", "A paragraph."]


@pytest.mark.parametrize("kind", _THAT_KNOW_LINES)
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


@given(texts, specs())
@settings(max_examples=120, deadline=None)
def test_spans_are_the_chunks_spans_where_characters_are_the_bound(text: str, spec: SplitterSpec) -> None:
    spec = replace(spec, max_characters=spec.bound, overlap_characters=spec.overlap, prefix_headings=False)
    splitter = make(replace(spec, overlap_tokens=0), Letters())
    assert isinstance(splitter, MarkdownSplitter | TextSplitter)
    assert splitter.spans(text) == [(chunk.start, chunk.end) for chunk in splitter.split(text)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_surrogate_pair_is_never_cut_in_two(kind: str) -> None:
    pairs = "\ud83d\ude00" * 30  # as a decoder that lets surrogates pass leaves an emoji
    for size in (1, 2, 3, 7):
        assert all(len(chunk) % 2 == 0 for chunk in split(pairs, Letters(), kind, max_characters=size))


@given(texts)
@settings(max_examples=100, deadline=None)
def test_chunks_can_share_all_but_a_character(text: str) -> None:
    checked(text, SplitterSpec("recursive", max_characters=12, overlap_characters=11), Letters())


def test_a_last_window_of_a_few_words_shares_with_the_one_before() -> None:
    def sizes(characters: int) -> list[int]:
        return [len(piece) for piece in split("x" * characters, Letters(), "fixed", max_characters=40)]

    assert sizes(89) == [40, 25, 24]
    assert sizes(90) == [40, 40, 10]
    assert sizes(80) == [40, 40]
    assert sizes(41) == [21, 20]


def test_a_sliding_window_takes_as_much_as_fits_and_shares_the_overlap() -> None:
    assert split("1234567890", Letters(), "fixed", max_characters=4, overlap_characters=2) == [
        "1234",
        "3456",
        "5678",
        "7890",
    ]


def test_sentences_fill_a_chunk_whatever_paragraphs_they_stand_in() -> None:
    text = "One is.\n\nTwo is. Six\nis. 雨が降る。川が増す。"
    assert split(text, Letters(), "sentence", 22) == ["One is.\n\nTwo is.", "Six\nis. 雨が降る。川が増す。"]


def test_the_bound_in_characters_holds_with_what_is_put_before() -> None:
    text = "# Rivers\n\n" + "A river is long. " * 8 + "\n\n## 川\n\n" + "川は流れる。" * 20
    spec = SplitterSpec("markdown", max_characters=60)
    chunks = make(spec, Quarters()).split(text)
    sizes = [len(chunk.embedded(text)) for chunk in chunks]
    assert max(sizes) <= 60
    assert any(chunk.prefix for chunk in chunks)
    assert [chunk.tokens for chunk in chunks] == [-(-size // 4) for size in sizes]
