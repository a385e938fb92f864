"""Rulers: how far a bound reaches in a text, in characters or in tokens.

A ruler of tokens counts each line of the text once, and tells by their sums. Tokens can fall otherwise
where a chunk begins or ends within a line: what it says is near the truth, and each chunk is counted as
a whole at last (`sections`).
"""

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate, islice
from typing import Protocol

from pipeline.ports import TokenCounter

# No tokenizer joins a line's end with the next line's first word. A longer line is measured in stretches.
_STRETCH = re.compile(r"[^\n]{0,399}+\n++|[^\n]{1,400}+")
_DOUBT = 4  # tokens: sums of stretches are seldom off by more than one or two
_BATCH = 8192  # stretches counted at once: a large text is never held twice


class Ruler(Protocol):
    """Measures one text."""

    def reach(self, start: int, bound: int) -> int:
        """The furthest end, perhaps beyond the text's, with which text[start:end] keeps to `bound`."""

    def back(self, end: int, bound: int) -> int:
        """The earliest start, perhaps before the text's, with which text[start:end] keeps to `bound`."""

    def fits(self, start: int, end: int, bound: int) -> bool:
        """Whether text[start:end] measures at most `bound`."""

    def sizes(self, texts: Sequence[str]) -> list[int]:
        """What texts measure by themselves, exactly."""


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

    def sizes(self, texts: Sequence[str]) -> list[int]:
        """The texts' lengths."""
        return [len(text) for text in texts]


class Tokens:
    """Measures in tokens, by sums over the text's lines."""

    def __init__(self, text: str, counter: TokenCounter) -> None:
        self._text = text
        self._counter = counter
        self._starts = array("q", [0])  # of stretches, and the text's end
        self._before = array("q", [0])  # tokens in front of each
        stretches = _STRETCH.finditer(text)
        while batch := list(islice(stretches, _BATCH)):
            self._starts.extend(stretch.end() for stretch in batch)
            counts = counter.count([stretch.group() for stretch in batch])
            self._before.extend(islice(accumulate(counts, initial=self._before[-1]), 1, None))

    def reach(self, start: int, bound: int) -> int:
        """Where so many tokens end, as far as the sums tell."""
        starts, before = self._starts, self._before
        number = bisect_right(starts, start) - 1
        behind, left = start, bound
        if starts[number] < start:
            number += 1
            behind = starts[number]
            head = self._text[start:behind]
            left -= self._counter.count([head])[0]
            if left < 0:
                return start + self._counter.take(head, bound)
        last = bisect_right(before, before[number] + left) - 1
        if last + 1 >= len(starts):
            return len(self._text) + 1
        at, after = starts[last], starts[last + 1]
        # A short line is not worth looking into.
        if (after - at) * 8 > at - start:
            at += self._counter.take(self._text[at:after], left - (before[last] - before[number]))
        return at

    def back(self, end: int, bound: int) -> int:
        """Where so many tokens begin, as far as the sums tell."""
        starts, before = self._starts, self._before
        number = bisect_left(starts, end) - 1  # the stretch that holds the last character
        tail = self._text[starts[number] : end]
        tokens = self._counter.count([tail])[0]
        if tokens > bound:
            return starts[number] + self._counter.take(tail, tokens - bound + 1)
        return starts[bisect_left(before, before[number] - (bound - tokens))]

    def fits(self, start: int, end: int, bound: int) -> bool:
        """Whether there are so few tokens; where their sums leave a doubt, they are counted."""
        first = bisect_right(self._starts, start) - 1
        last = bisect_left(self._starts, end)
        if self._before[last] - self._before[first] < bound - _DOUBT:
            return True
        if last > first + 2 and self._before[last - 1] - self._before[first + 1] > bound + _DOUBT:
            return False
        return self._counter.count([self._text[start:end]])[0] <= bound

    def sizes(self, texts: Sequence[str]) -> list[int]:
        """The texts' tokens."""
        return self._counter.count(texts)
