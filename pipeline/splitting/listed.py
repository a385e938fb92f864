"""Pieces that are all looked for at once, between matches of a pattern; counted where tokens bound them."""

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import accumulate, pairwise
from operator import sub

from pipeline.ports import TokenCounter
from pipeline.splitting.pieces import Apart
from pipeline.splitting.rulers import counts


class Listed:
    """Pieces that were all looked for.

    `places` holds where each begins and ends; where they have no gaps between them, each place once.
    """

    blank = 0

    def __init__(self, places: "array[int]", gaps: bool, end: int) -> None:
        self.gaps = gaps
        self._begins, self._ends = _sides(places, gaps)
        self._end = end

    def last(self, start: int, high: int) -> int:
        """Look it up."""
        number = bisect_right(self._ends, high)
        at = self._ends[number - 1] if number else 0
        return at if at > start else 0

    def next(self, _start: int, low: int) -> int:
        """Look it up."""
        number = bisect_left(self._begins, low)
        return self._begins[number] if number < len(self._begins) else self._end

    def end(self, start: int) -> int:
        """Look it up."""
        return self._ends[bisect_left(self._begins, start)]


class Counted(Listed):
    """Pieces counted one by one, with the gaps: what several measure is their sum, as LangChain has it."""

    def __init__(
        self, places: "array[int]", gaps: bool, end: int, text: str, counter: TokenCounter, most: int
    ) -> None:
        super().__init__(places, gaps, end)
        sizes = counts((text[begin:stop] for begin, stop in pairwise(places)), counter)
        self._at_begin, self._at_end = _sides(array("q", accumulate(sizes, initial=0)), gaps)
        alone = map(sub, self._at_end, self._at_begin)
        self._long = [number for number, size in enumerate(alone) if size > most]

    def reach(self, start: int, bound: int) -> int:
        """Where the last piece ends with which those from `start` on measure at most `bound`.

        Never behind a piece that measures more than `most`, whatever the bound.
        """
        first = bisect_left(self._begins, start)
        number = bisect_right(self._at_end, self._at_begin[first] + bound)
        long = bisect_left(self._long, first)
        if long < len(self._long):
            number = min(number, self._long[long])
        return self._ends[number - 1] if number else start

    def back(self, end: int, bound: int) -> int:
        """Where the first piece begins with which those up to `end` measure at most `bound`."""
        least = self._at_end[bisect_left(self._ends, end)] - bound
        number = bisect_left(self._at_begin, least)
        return self._begins[number] if number < len(self._begins) else self._end


def listed(
    pattern: re.Pattern[str], keep: str, whole: bool, text: str, start: int, end: int
) -> Listed | None:
    """The pieces of text[start:end], which is all that the pattern sees; None where it does not match.

    `keep` says where matches are kept: at the "start" or "end" of a piece, or in the gaps between them
    ("drop"). `whole` passes over matches that would cut a grapheme.
    """
    places = _places(pattern, keep, whole, text, start, end)
    return Listed(places, keep == "drop", end) if places is not None else None


def counted(
    pattern: re.Pattern[str], keep: str, counter: TokenCounter, most: int, text: str, start: int, end: int
) -> Counted | None:
    """The same, with each piece counted; those that measure more than `most` share no chunk with others."""
    places = _places(pattern, keep, False, text, start, end)
    return Counted(places, keep == "drop", end, text, counter, most) if places is not None else None


def _places(
    pattern: re.Pattern[str], keep: str, whole: bool, text: str, start: int, end: int
) -> "array[int] | None":
    stretch = text[start:end]
    if not pattern.search(stretch):
        return None
    matches = pattern.finditer(stretch)
    apart = Apart(text, start, end) if whole else None
    if keep == "drop":
        return _between(matches, apart, start, end)
    side, at = keep == "end", start
    places = array("q", (start,))
    for match in matches:
        edge = start + match.span()[side]
        if at < edge < end and (apart is None or apart(edge)):
            places.append(edge)
            at = edge
    places.append(end)
    return places


def _between(matches: Iterable[re.Match[str]], apart: "Apart | None", start: int, end: int) -> "array[int]":
    """The beginnings and ends of what lies between matches."""
    places, at = array("q"), start
    for match in matches:
        begin, stop = match.span()
        begin, stop = start + begin, start + stop
        if apart is None or (apart(begin) and apart(stop)):
            if at < begin:
                places.extend((at, begin))
            at = stop
    if at < end:
        places.extend((at, end))
    return places


def _sides(places: "array[int]", gaps: bool) -> "tuple[memoryview[int], memoryview[int]]":
    """The beginnings and the ends of pieces."""
    view = memoryview(places)
    return (view[::2], view[1::2]) if gaps else (view[:-1], view[1:])
