"""Packs pieces into chunks up to a bound, ending each at the strongest boundary within reach."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate

from pipeline.splitting.pieces import Piece

_BLANK_LINES = re.compile(r"(?:[^\S\r\n]*(?:\r\n?|\n))*")


def pack(pieces: Sequence[Piece], bound: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Group pieces into runs of at most `bound` tokens; gives (first, behind the last).

    Runs share at most `overlap` tokens of whole pieces, and none lies within another. A piece that
    exceeds the bound by itself makes a run of its own.
    """
    before = [0, *accumulate(piece.tokens for piece in pieces)]  # tokens in front of each piece
    first = packed = 0
    while packed < len(pieces):
        # Where the overlap leaves no room for anything new, it gives way.
        first = bisect_left(before, before[packed + 1] - bound, first, packed)
        reach = max(bisect_right(before, before[first] + bound) - 1, packed + 1)
        behind = reach if reach == len(pieces) else _strongest(pieces, before, packed, reach)
        yield first, behind
        first, packed = bisect_left(before, before[behind] - overlap, first + 1, behind), behind


def trim(text: str, start: int, end: int) -> tuple[int, int]:
    """Leave blank lines and trailing white space out of a span; the first line keeps its indent."""
    match = _BLANK_LINES.match(text, start, end)
    start = match.end() if match else start
    return start, start + len(text[start:end].rstrip())


def _strongest(pieces: Sequence[Piece], before: Sequence[int], packed: int, reach: int) -> int:
    """Where to end a run: the strongest boundary in the second half of what is new, the latest of equals."""
    earliest = max(packed + 1, bisect_left(before, (before[packed] + before[reach]) / 2))
    return min(range(reach, earliest - 1, -1), key=lambda behind: pieces[behind].strength)
