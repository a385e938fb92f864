"""Sums of tokens over a text: it is counted once, and from then on they tell where so many tokens end."""

import re
from array import array
from bisect import bisect_right
from functools import cache, lru_cache
from itertools import accumulate, islice
from typing import Protocol

import numpy as np

from pipeline.ports import OffsetCounter, TokenCounter, tells_offsets

_TOKENS = 96  # a stretch, as near as the text's beginning tells
_SAMPLE = 1000  # characters that tell how many a token has
_NARROW, _WIDE = 40, 400  # characters a stretch, at least and at most
_STRETCHES = 8192  # counted at once: a large text is never held twice
_CHARACTERS = 1 << 20  # whose offsets are told at once
_NEAR = 64  # characters in which a seam is looked for: most words are shorter


class Sums(Protocol):
    """The tokens before each place of a text."""

    def before(self, at: int) -> int:
        """How many tokens are before a place, about."""

    def place(self, at: int, tokens: int) -> int:
        """Where so many tokens from a place on end, about, or begin, if they are negative.

        Perhaps beyond the text where it has fewer behind that place, and 0 where it has fewer before it.
        """

    def between(self, start: int, end: int) -> int:
        """The tokens of text[start:end] by itself."""


class Stretches:
    """Sums over stretches: within one, tokens are shared out evenly."""

    def __init__(self, text: str, counter: TokenCounter) -> None:
        self._text = text
        self._counter = counter
        self._starts = array("q", [0])  # of stretches, and the text's end
        self._before = array("q", [0])  # tokens in front of each
        sample = text[:_SAMPLE]
        tokens = counter.count([sample])[0]
        stretches = _stretches(len(sample) * _TOKENS // max(1, tokens)).finditer(text)
        while batch := list(islice(stretches, _STRETCHES)):
            self._starts.extend(stretch.end() for stretch in batch)
            counts = counter.count([stretch.group() for stretch in batch])
            self._before.extend(islice(accumulate(counts, initial=self._before[-1]), 1, None))

    def before(self, at: int) -> int:
        """Those of whole stretches, and a share of the one it is in."""
        starts, before = self._starts, self._before
        number = bisect_right(starts, at) - 1
        if number + 1 >= len(starts):
            return before[-1]
        first, behind = starts[number], starts[number + 1]
        return before[number] + (before[number + 1] - before[number]) * (at - first) // (behind - first)

    def place(self, at: int, tokens: int) -> int:
        """So far into a stretch as tokens are left for it."""
        starts, before = self._starts, self._before
        tokens += self.before(at)
        number = bisect_right(before, tokens) - 1
        if number + 1 >= len(starts):
            return len(self._text) + 1
        if number < 0:
            return 0
        first, behind = before[number], before[number + 1]
        return starts[number] + (starts[number + 1] - starts[number]) * (tokens - first) // (behind - first)

    def between(self, start: int, end: int) -> int:
        """Counted anew."""
        return self._counter.count([self._text[start:end]])[0]


class Offsets:
    """Sums from where each token ends: exact between two seams; only what is beside them is counted."""

    def __init__(self, text: str, counter: OffsetCounter) -> None:
        self._text = text
        self._counter = counter
        self._seam = counter.seam
        self._ends = _ends(text, counter)
        self._at, self._number = 0, 0  # where it was last asked for the tokens before, and how many
        self._far_at, self._far = 0, 0  # what it last told to be as far as so many tokens reach

    def before(self, at: int) -> int:
        """Those that end there at the latest."""
        passed = at - self._at
        if passed == 0:
            return self._number
        ends = self._ends
        low, high = (self._number, len(ends)) if passed > 0 else (0, self._number)
        if 0 < passed < _NEAR:  # as it is where one chunk follows another
            near = low + _NEAR
            high = near if near < high and ends[near] > at else high
        elif passed > 0 and at < self._far_at:
            high = self._far
        self._at, self._number = at, bisect_right(ends, at, low, high)
        return self._number

    def place(self, at: int, tokens: int) -> int:
        """Where the last of them ends."""
        ends = self._ends
        tokens += self.before(at)
        if tokens > len(ends):
            return len(self._text) + 1
        if tokens <= 0:
            return 0
        self._far_at, self._far = ends[tokens - 1], tokens
        return self._far_at

    def between(self, start: int, end: int) -> int:
        """What is between the first and the last seam, and what is counted before and behind them."""
        text, is_seam = self._text, self._seam.match
        first, last = start, end
        if start and not is_seam(text, start):
            found = self._seam.search(text, start + 1, min(end, start + _NEAR))
            first = found.start() if found else end
        if end < len(text) and not is_seam(text, end):
            low = max(first, end - _NEAR)
            last -= 1
            while last > low and not is_seam(text, last):
                last -= 1
            if last <= low:
                return self._count(text[start:end])
        tokens = -self.before(first)
        tokens += self.before(last)
        if start < first:
            tokens += self._count(text[start:first])
        return tokens + self._count(text[last:end]) if last < end else tokens

    def _count(self, text: str) -> int:
        counter = self._counter
        return _few(counter, text) if len(text) <= _NEAR else counter.count([text])[0]


@lru_cache(maxsize=8192)
def _few(counter: OffsetCounter, text: str) -> int:
    """The tokens of what is beside a seam: most often a mark or two, the same in every text."""
    return counter.count([text])[0]


def sums_over(text: str, counter: TokenCounter) -> Sums:
    """The most exact sums that a counter can give."""
    return Offsets(text, counter) if tells_offsets(counter) else Stretches(text, counter)


def _ends(text: str, counter: OffsetCounter) -> "array[int]":
    """Where each token ends; a large text is read in parts, cut at seams where these are near."""
    start, ends = 0, array("I")
    while (low := start + _CHARACTERS) < len(text):
        found = counter.seam.search(text, low, low + _CHARACTERS)
        if found is None:
            break
        ends.frombytes((counter.ends(text[start : found.start()]) + np.uint32(start)).data.cast("B"))
        start = found.start()
    last = counter.ends(text[start:])
    ends.frombytes((last + np.uint32(start) if start else last).data.cast("B"))
    return ends


def _stretches(characters: int) -> re.Pattern[str]:
    """What cuts a text into stretches: at a line's end where one is near, since no token reaches over it."""
    return _stretches_of(max(_NARROW, min(_WIDE, characters // _NARROW * _NARROW)))


@cache
def _stretches_of(width: int) -> re.Pattern[str]:
    return re.compile(rf"(?s:.{{{width}}})[^\n]{{0,{width // 2}}}+\n++|(?s:.{{1,{width}}})")
