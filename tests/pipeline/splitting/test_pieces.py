"""Cutting: the coarsest separators that make pieces fit."""

from collections.abc import Sequence

import pytest

from pipeline.splitting.pieces import Segment, cut
from pipeline.tokens import LocalTokens, OpenAITokens
from tests.pipeline.splitting.support import FAMILY, Letters


def _cut(text: str, bound: int, *, by_lines: bool = False) -> list[str]:
    pieces = next(cut(text, [Segment(0, len(text), bound, by_lines)], Letters()))
    assert [piece.tokens for piece in pieces] == [piece.end - piece.start for piece in pieces]
    assert "".join(text[piece.start : piece.end] for piece in pieces) == text
    return [text[piece.start : piece.end] for piece in pieces]


def test_what_fits_is_one_piece() -> None:
    assert _cut("A. B.\n\nC.", 9) == ["A. B.\n\nC."]


def test_paragraphs_come_before_all_else() -> None:
    assert _cut("One. Two.\n\nThree.", 12) == ["One. Two.\n\n", "Three."]
    assert _cut("One. Two.\r\n \r\n\r\nThree.", 17) == ["One. Two.\r\n \r\n\r\n", "Three."]


def test_items_come_before_their_sentences() -> None:
    assert _cut("- One. Two.\n- Three.\n  1. Four.\n", 14) == ["- One. Two.\n", "- Three.\n", "  1. Four.\n"]


def test_wrapped_prose_is_cut_at_sentences_and_tables_and_code_at_lines() -> None:
    text = "It rains. The river\nrises. We\nleave."
    assert _cut(text, 20) == ["It rains. ", "The river\nrises. ", "We\nleave."]
    assert _cut(text, 20, by_lines=True) == ["It rains. The river\n", "rises. We\n", "leave."]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("雨だ。川が増す！逃げる？はい。", ["雨だ。", "川が増す！", "逃げる？", "はい。"]),
        ("「雨だ。」と言う。（本当！）そう。", ["「雨だ。」", "と言う。", "（本当！）", "そう。"]),
        ("本当！？はい｡ええ。", ["本当！？", "はい｡", "ええ。"]),
        ("円周率は３．１４だ．次に進む．", ["円周率は３．１４だ．", "次に進む．"]),
        ("雨だ。 \u3000川が増す。", ["雨だ。 \u3000", "川が増す。"]),
    ],
)
def test_japanese_sentences_end_without_a_space(text: str, sentences: Sequence[str]) -> None:
    assert _cut(text, len(text) - 1) == sentences


def test_english_sentences_end_at_a_space_and_take_their_quotes_along() -> None:
    assert _cut('He said "It is 3.14." And left?! Yes...  So.', 22) == [
        'He said "It is 3.14." ',
        "And left?! ",
        "Yes...  ",
        "So.",
    ]


def test_finer_levels_follow_one_by_one() -> None:
    assert _cut("雨、風、雪が降る", 4) == ["雨、", "風、", "雪が降る"]
    assert _cut("one two-three\u3000four", 10) == ["one ", "two-three\u3000", "four"]
    assert _cut("あいうえおかきく", 7) == ["あい", "うえ", "おか", "きく"]


@pytest.mark.parametrize(
    "grapheme",
    [FAMILY, "🇯🇵", "e\u0301\u0302", "か\u3099", "1\ufe0f\u20e3", "각", "क्षि", " \u0301", "。\u3099", "\r\n"],
)
def test_no_piece_begins_inside_a_grapheme(grapheme: str) -> None:
    pieces = _cut(grapheme * 30, 12)
    assert len(pieces) > 1 or grapheme.isspace()
    assert all(len(piece) % len(grapheme) == 0 for piece in pieces)


@pytest.mark.parametrize("counter", [LocalTokens(), OpenAITokens()])
def test_no_piece_exceeds_the_bound_however_dense_its_tokens(counter: LocalTokens | OpenAITokens) -> None:
    text = "".join(chr(0x20000 + 7 * at) for at in range(400)) + "\0\x01\x02" * 100 + "ꙮ" * 200
    pieces = next(cut(text, [Segment(0, len(text), 16)], counter))
    assert max(piece.tokens for piece in pieces) <= 16


def test_segments_are_cut_side_by_side_and_given_in_order() -> None:
    text = "One two three. Four. "
    pieces = list(cut(text, [Segment(0, 15, 9), Segment(15, 21, 9)], Letters()))
    assert [[text[p.start : p.end] for p in each] for each in pieces] == [
        ["One ", "two ", "three. "],
        ["Four. "],
    ]


def test_pieces_remember_how_strong_the_boundary_before_them_is() -> None:
    text = "A b. C,\nd e"
    pieces = next(cut(text, [Segment(0, len(text), 3)], Letters()))
    assert [(text[piece.start : piece.end], piece.strength) for piece in pieces] == [
        ("A ", 1),
        ("b. ", 6),
        ("C,\n", 3),
        ("d e", 4),
    ]
