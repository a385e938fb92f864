"""Packs pieces into chunks up to a bound, ending each at the strongest boundary within reach."""

import re
from collections.abc import Iterator, Sequence

from pipeline.splitting.pieces import Piece

_BLANK_LINES = re.compile(r"(?:[^\S\n]*\n)*")


def pack(pieces: Sequence[Piece], bound: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Group pieces into runs of at most `bound` tokens; gives (first, behind the last).

    Runs share at most `overlap` tokens of whole pieces. A piece that exceeds the bound by itself
    makes a run of its own.
    """
    first = packed = 0
    while packed < len(pieces):
        reach = _reach(pieces, first, bound)
        while reach <= packed and first < packed:  # the overlap leaves no room for anything new
            first += 1
            reach = _reach(pieces, first, bound)
        reach = max(reach, first + 1)
        behind = reach if reach == len(pieces) else _strongest(pieces, first, packed, reach)
        yield first, behind
        packed = first = behind
        shared = 0
        while packed < len(pieces) and first > 0 and shared + pieces[first - 1].tokens <= overlap:
            first -= 1
            shared += pieces[first].tokens


def trim(text: str, start: int, end: int) -> tuple[int, int]:
    """Leave blank lines and trailing white space out of a span; the first line keeps its indent."""
    match = _BLANK_LINES.match(text, start, end)
    start = match.end() if match else start
    return start, start + len(text[start:end].rstrip())


def _reach(pieces: Sequence[Piece], first: int, bound: int) -> int:
    total, behind = 0, first
    while behind < len(pieces) and total + pieces[behind].tokens <= bound:
        total += pieces[behind].tokens
        behind += 1
    return behind


def _strongest(pieces: Sequence[Piece], first: int, packed: int, reach: int) -> int:
    """Where to end a run: the strongest boundary in its second half, the latest of equals."""
    half = sum(piece.tokens for piece in pieces[first:reach]) / 2
    best, total = reach, sum(piece.tokens for piece in pieces[first:reach])
    for behind in range(reach, max(first, packed), -1):
        if total < half:
            break
        if pieces[behind].strength < pieces[best].strength:
            best = behind
        total -= pieces[behind - 1].tokens
    return best
