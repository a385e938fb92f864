"""What people see of a search."""

import pytest

from flows import render_hits

Captured = pytest.CaptureFixture[str]

HIT = {
    "doc_id": "[b]山[/b].md", "heading_path": ["A", "見出し"], "score": 0.5,
    "text": "a\n\n[red]b[/] :smile: \x1b[2J" + "続き" * 200,
}  # fmt: skip


def test_a_hit_is_shown_as_it_stands_and_cannot_control_the_terminal(capsys: Captured) -> None:
    render_hits.hits("[what] is 山?", [HIT])
    first, second, third = capsys.readouterr().out.splitlines()
    assert first == "[what] is 山?"
    assert second == "  1. 0.500  [b]山[/b].md  A > 見出し"
    assert third.startswith("     a [red]b[/] :smile: \ufffd[2J続き")
    assert len(third) == 5 + 280 + 1
    assert third.endswith("…")


def test_no_hit_is_said(capsys: Captured) -> None:
    render_hits.hits("q", [])
    assert capsys.readouterr().out == "q\nnothing found\n"


def test_a_score_that_two_make_up_is_shown_with_both(capsys: Captured) -> None:
    both = {**HIT, "vector_score": 0.71, "text_score": None}
    render_hits.hits("q", [both, {**both, "text_score": 12.25}])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].endswith("(vector 0.710, text –)")
    assert lines[3].endswith("(vector 0.710, text 12.250)")


def test_of_a_long_text_the_part_with_the_querys_words_is_shown(capsys: Captured) -> None:
    text = "x " * 400 + "the ovens of the bakery " + "y " * 400
    render_hits.hits("bakery ovens", [{**HIT, "text": text}])
    shown = capsys.readouterr().out.splitlines()[2]
    assert "the ovens of the bakery" in shown
    assert (shown[5], shown[-1]) == ("…", "…")


def test_the_text_around_a_hit_is_shown_whole(capsys: Captured) -> None:
    context = {"text": "a " * 300, "start": 0, "end": 600}
    render_hits.hits("q", [{**HIT, "context": context}])
    assert capsys.readouterr().out.count("a ") >= 299
