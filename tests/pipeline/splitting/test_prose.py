"""Boundaries: what ends a sentence, a clause, a word, a grapheme, in English and in Japanese."""

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from pipeline.splitting.prose import (
    LINES,
    PROSE,
    SECTIONS,
    SENTENCES,
    first_shared,
    grapheme_boundary,
    next_grapheme,
    plain_lines,
)
from tests.pipeline.splitting.support import FAMILY, texts


def _cut(text: str) -> list[str]:
    """Cut from the end at each last boundary."""
    pieces, end = [], len(text)
    while at := SENTENCES.last_strong(text, 0, end - 1):
        pieces.append(text[at:end])
        end = at
    return [text[:end], *reversed(pieces)]


@pytest.mark.parametrize(
    "pieces",
    [
        ["It rains. ", "It pours! ", "Does it? ", "Yes."],
        ['He said "Go." ', "She went."],
        ["雨が降る。", "川が増す！", "本当？", "「はい。」", "山へ行く。"],
        ["雨。", "It rains. ", "雪。"],
        ["円周率は３．１４です。", "ほぼ。"],
        ["Wait... ", "What?! ", "No."],
    ],
)
def test_sentences_end_where_a_reader_would_end_them(pieces: list[str]) -> None:
    assert _cut("".join(pieces)) == pieces


@pytest.mark.parametrize("text", ["e.g. rivers", "pi is 3.14 about", "a.b.c", "３．１４", "etc. and so on"])
def test_not_every_full_stop_ends_a_sentence(text: str) -> None:
    assert PROSE.last_strong(text, 0, len(text)) == 0


@pytest.mark.parametrize("text", ["1. One is", "Some.\n\n  12. Two is", "a\n3. 三つ目"])
def test_the_number_of_an_item_is_no_sentence(text: str) -> None:
    number = text.rindex(". ") - 1
    assert SENTENCES.last_strong(text, number, len(text)) == 0


def test_a_number_can_end_a_sentence() -> None:
    assert SENTENCES.last_strong("It was 1999. Then", 0, 17) == 13


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("one two, three four", "one two, "),
        ("一つ、二つ三つ四つ", "一つ、"),
        ("one two three", "one two "),
        ("長い\u3000文", "長い\u3000"),
        ("美しい山を見るのが好き", "美しい山を見るのが"),
        ("東京タワーへ行くバス", "東京タワーへ行く"),
    ],
)
def test_where_no_sentence_ends_a_clause_a_word_or_a_phrase_does(text: str, end: str) -> None:
    assert text[: PROSE.last(text, 0, 0, len(text) - 1)] == end


def test_a_blank_line_is_stronger_than_an_item_and_an_item_than_a_sentence() -> None:
    text = "A is.\n\nB is. C is.\n- D is. E is.\n- F is. G is.\n"
    assert text[PROSE.last(text, 0, 0, len(text)) :].startswith("B is.")
    assert text[PROSE.last(text, 8, 8, len(text)) :].startswith("- F is.")
    assert text[PROSE.last(text, 37, 37, len(text) - 2) :].startswith("G is.")


def test_a_blank_line_within_an_item_does_not_end_it() -> None:
    text = "Before.\n\n- a\n\n  more of a\n\n  and more\n"
    assert text[PROSE.last(text, 0, 0, len(text)) :].startswith("- a")


def test_sections_end_with_a_sentence_further_ahead_rather_than_with_a_line() -> None:
    text = "It rains. It pours and\nit pours, and then\nit rains on"
    assert text[: PROSE.last(text, 0, 30, len(text))] == "It rains. It pours and\nit pours, and then\n"
    assert text[: SECTIONS.last(text, 0, 30, len(text))] == "It rains. "
    assert text[: SECTIONS.last(text, 12, 30, len(text))] == "It rains. It pours and\nit pours, and then\n"


def test_a_boundary_over_the_middle_of_the_window_is_found() -> None:
    text = "It rains. It pours and so on"
    assert text[: SECTIONS.last(text, 0, 9, len(text))] == "It rains. "


def test_lines_end_code_before_sentences_do() -> None:
    text = 'say("One. Two.")\nsay("Three. Four.")'
    assert text[LINES.last(text, 0, 0, len(text)) :] == 'say("Three. Four.")'


def test_what_is_shared_starts_at_a_sentence_or_else_at_a_word() -> None:
    text = "One is. Two is a pair."
    assert text[first_shared(text, 2, len(text)) :] == "Two is a pair."
    assert text[first_shared(text, 9, len(text)) :] == "is a pair."
    assert first_shared("x" * 20, 2, 20) == 0


@given(texts)
def test_plain_lines_change_no_length_and_leave_no_carriage_return(text: str) -> None:
    plain = plain_lines(text)
    assert len(plain) == len(text)
    assert "\r" not in plain
    assert [a for a, b in zip(text, plain, strict=True) if a != b] == ["\r"] * text.count("\r")


@given(
    st.lists(
        st.sampled_from(["a", "川", FAMILY, "🇯🇵", "e\u0301", "か\u3099", "\r\n", "ก็", "ᄀ", " "]), min_size=1
    )
)
def test_grapheme_boundaries_are_those_of_unicode(parts: list[str]) -> None:
    text = "".join(parts)
    ends, end = [], 0
    for grapheme in regex.findall(r"\X", text):
        end += len(grapheme)
        ends.append(end)
    for at in range(1, len(text) + 1):
        before = [end for end in ends if end <= at]
        assert grapheme_boundary(text, 0, at, len(text)) == (before[-1] if before else ends[0])
        behind = [end for end in ends if end >= at and end < len(text)]
        assert next_grapheme(text, 0, at, len(text)) == (behind[0] if behind else 0)
