"""Packing, on pieces whose tokens and strengths are written out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.splitting.pack import pack, trim
from pipeline.splitting.pieces import Piece


def _pieces(*tokens_and_strengths: tuple[int, int]) -> list[Piece]:
    return [Piece(at, at + 1, strength, tokens) for at, (tokens, strength) in enumerate(tokens_and_strengths)]


_PIECES = st.lists(st.tuples(st.integers(0, 12), st.integers(1, 7)), max_size=40).map(
    lambda all_: _pieces(*all_)
)


@given(_PIECES, st.integers(1, 20), st.integers(0, 10))
def test_runs_cover_every_piece_go_on_and_keep_to_bound_and_overlap(
    pieces: list[Piece], bound: int, overlap: int
) -> None:
    covered = start = 0
    for number, (first, behind) in enumerate(pack(pieces, bound, overlap)):
        assert behind > covered
        assert first <= covered
        assert sum(piece.tokens for piece in pieces[first:covered]) <= overlap
        assert number == 0 or first > start
        assert sum(piece.tokens for piece in pieces[first:behind]) <= bound or behind - first == 1
        covered, start = behind, first
    assert covered == len(pieces)


def test_nothing_packs_into_nothing() -> None:
    assert list(pack([], 10, 5)) == []


def test_a_run_ends_at_the_strongest_boundary_of_its_second_half() -> None:
    pieces = _pieces((2, 1), (2, 1), (2, 5), (2, 2), (2, 2), (2, 5), (2, 5))
    # 10 fit; the paragraph's start behind 2 is too early, of both items' starts the later one counts.
    assert list(pack(pieces, 10, 0)) == [(0, 4), (4, 7)]


def test_what_fits_to_the_end_is_one_run_whatever_its_boundaries() -> None:
    assert list(pack(_pieces((4, 1), (1, 1), (5, 1)), 10, 0)) == [(0, 3)]


def test_overlap_takes_whole_pieces_from_the_run_before() -> None:
    pieces = _pieces(*[(3, 5)] * 6)
    assert list(pack(pieces, 9, 4)) == [(0, 3), (2, 5), (4, 6)]
    assert list(pack(pieces, 9, 2)) == [(0, 3), (3, 6)]


def test_overlap_gives_way_to_a_piece_that_needs_the_room() -> None:
    assert list(pack(_pieces((2, 5), (2, 5), (2, 5), (8, 5), (1, 5)), 8, 4)) == [(0, 3), (3, 4), (4, 5)]


def test_a_short_run_is_not_repeated_whole() -> None:
    assert list(pack(_pieces((6, 1), (1, 1), (6, 1), (6, 1)), 6, 3)) == [(0, 1), (1, 2), (2, 3), (3, 4)]


def test_a_piece_over_the_bound_makes_a_run_of_its_own() -> None:
    assert list(pack(_pieces((2, 1), (50, 1), (2, 1)), 10, 5)) == [(0, 1), (1, 2), (2, 3)]


def test_most_of_an_overlapping_run_is_new() -> None:
    pieces = _pieces(*[(1, 1 if at % 11 == 0 else 6) for at in range(300)])
    runs = list(pack(pieces, 20, 10))
    assert len(runs) <= 2 * 300 / 10


@pytest.mark.parametrize(
    ("text", "trimmed"),
    [
        ("a", "a"),
        ("\n \t\r\n\r  b \u3000\n", "  b"),
        ("\u3000\n\u3000川。\n", "\u3000川。"),
        (" \n\n", ""),
        ("", ""),
    ],
)
def test_trimming_keeps_the_first_lines_indent(text: str, trimmed: str) -> None:
    padded = f"x{text}\ny"
    start, end = trim(padded, 1, 1 + len(text))
    assert padded[start:end] == trimmed
