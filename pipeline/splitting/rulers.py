"""Rulers: how far a bound reaches in a text, in characters or in tokens.

A ruler of tokens counts the text once, in stretches, and tells by their sums where a chunk may end, about.
What a chunk turns out to be is counted then.
"""

import re
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from functools import cache
from itertools import accumulate, islice
from typing import Protocol

from pipeline.ports import TokenCounter

_TOKENS = 96  # a stretch, as near as the text's beginning tells
_SAMPLE = 1000  # characters that tell how many a token has
_NARROW, _WIDE = 40, 400  # characters a stretch, at least and at most
_DOUBT = 4  # tokens: sums of stretches are seldom off by more than one or two
_BATCH = 8192  # stretches counted at once: a large text is never held twice


class Ruler(Protocol):
    """Measures one text."""

    def reach(self, start: int, bound: int) -> int:
        """The furthest end, perhaps beyond the text's, with which text[start:end] keeps to `bound`, about."""

    def back(self, end: int, bound: int) -> int:
        """The earliest start, perhaps before the text's, with which text[start:end] does, about."""

    def fits(self, start: int, end: int, bound: int) -> bool:
        """Whether text[start:end] measures at most `bound`."""

    def over(self, start: int, end: int, bound: int) -> int:
        """By how much text[start:end] exceeds a bound; 0 or less where it does not."""

    def sizes(self, texts: Sequence[str]) -> list[int]:
        """What texts measure by themselves."""


class Characters:
    """Measures in characters."""

    def reach(self, start: int, bound: int) -> int:
        """So many characters further."""
        return start + bound

    def back(self, end: int, bound: int) -> int:
        """So many characters before."""
        return end - bound

    def fits(self, start: int, end: int, bound: int) -> bool:
        """Whether there are so few characters."""
        return end - start <= bound

    def over(self, start: int, end: int, bound: int) -> int:
        """How many characters there are too many."""
        return end - start - bound

    def sizes(self, texts: Sequence[str]) -> list[int]:
        """The texts' lengths."""
        return [len(text) for text in texts]


class Tokens:
    """Measures in tokens: as far as sums over stretches of the text tell, or counted."""

    def __init__(self, text: str, counter: TokenCounter) -> None:
        self.counted: dict[tuple[int, int], int] = {}  # the tokens of what was counted, by start and end
        self._text = text
        self._counter = counter
        self._starts = array("q", [0])  # of stretches, and the text's end
        self._before = array("q", [0])  # tokens in front of each
        sample = text[:_SAMPLE]
        tokens = counter.count([sample])[0]
        stretches = _stretches(len(sample) * _TOKENS // max(1, tokens)).finditer(text)
        while batch := list(islice(stretches, _BATCH)):
            self._starts.extend(stretch.end() for stretch in batch)
            counts = counter.count([stretch.group() for stretch in batch])
            self._before.extend(islice(accumulate(counts, initial=self._before[-1]), 1, None))

    def reach(self, start: int, bound: int) -> int:
        """Where so many tokens end, about."""
        return self._place(self._tokens_before(start) + max(0, bound))

    def back(self, end: int, bound: int) -> int:
        """Where so many tokens begin, about."""
        return self._place(self._tokens_before(end) - bound)

    def fits(self, start: int, end: int, bound: int) -> bool:
        """Whether there are so few tokens; where sums leave a doubt, they are counted."""
        about = self._tokens_before(end) - self._tokens_before(start)
        doubt = _DOUBT + about // 16
        return about < bound - doubt or (about <= bound + doubt and self.over(start, end, bound) <= 0)

    def over(self, start: int, end: int, bound: int) -> int:
        """How many tokens there are too many; they are counted, and remembered."""
        [tokens] = self._counter.count([self._text[start:end]])
        self.counted[start, end] = tokens
        return tokens - bound

    def sizes(self, texts: Sequence[str]) -> list[int]:
        """The texts' tokens."""
        return self._counter.count(texts)

    def _tokens_before(self, at: int) -> int:
        """How many tokens are before a place: those of whole stretches, and a share of the one it is in."""
        starts, before = self._starts, self._before
        number = bisect_right(starts, at) - 1
        if number + 1 >= len(starts):
            return before[-1]
        first, behind = starts[number], starts[number + 1]
        return before[number] + (before[number + 1] - before[number]) * (at - first) // (behind - first)

    def _place(self, tokens: int) -> int:
        """Where so many tokens are before; beyond the text where it has fewer."""
        starts, before = self._starts, self._before
        number = bisect_right(before, tokens) - 1
        if number + 1 >= len(starts):
            return len(self._text) + 1
        if number < 0:
            return 0
        first, behind = before[number], before[number + 1]
        return starts[number] + (starts[number + 1] - starts[number]) * (tokens - first) // (behind - first)


def _stretches(characters: int) -> re.Pattern[str]:
    """What cuts a text into stretches: at a line's end where one is near, since no token reaches over it."""
    return _stretches_of(max(_NARROW, min(_WIDE, characters // _NARROW * _NARROW)))


@cache
def _stretches_of(width: int) -> re.Pattern[str]:
    return re.compile(rf"(?s:.{{{width}}})[^\n]{{0,{width // 2}}}+\n++|(?s:.{{1,{width}}})")
