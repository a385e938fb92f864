"""The pieces that one separator cuts a stretch of text into, looked for only where a chunk can end."""

import re
from typing import Protocol

from pipeline.splitting.prose import grapheme_boundary, next_grapheme


class Pieces(Protocol):
    """The pieces of a stretch, in order; `start` is where one begins."""

    @property
    def blank(self) -> int:
        """How many white space characters every piece but the first begins with, at least."""

    @property
    def gaps(self) -> bool:
        """Whether something can stand between them that is in none."""

    def last(self, start: int, high: int, /) -> int:
        """The end of the last piece that ends in (start, high]; 0 where there is none."""

    def next(self, start: int, low: int, /) -> int:
        """Where the first piece begins at or behind `low`, which is behind `start`; or the stretch's end."""

    def end(self, start: int) -> int:
        """Where the piece ends that begins at `start`."""


class Literal:
    r"""Pieces that begin or end with a literal, which is looked for only where a chunk can end.

    Matches of "\n\n" follow each other from the left: it depends on where a run of line ends begins which
    of them are edges. That is told from `start`, since a piece begins there.
    """

    gaps = False
    __slots__ = ("_before", "_behind", "_end", "_find", "_rfind", "_run", "_separator", "_text", "blank")

    @staticmethod
    def can(separator: str) -> bool:
        """Whether matches overlap in nothing but runs of one character."""
        overlaps = any(separator.startswith(separator[at:]) for at in range(1, len(separator)))
        return not overlaps or separator == separator[0] * len(separator)

    def __init__(self, separator: str, at_end: bool, text: str, end: int) -> None:
        width = len(separator)
        self._text = text
        self._find = text.find
        self._rfind = text.rfind
        self._separator = separator
        self._end = end
        # How much of a match belongs to the piece before it, how much to the one behind.
        self._before, self._behind = (width, 0) if at_end else (0, width)
        self._run = separator[0] if width > 1 and separator == separator[0] * width else ""
        self.blank = self._behind if separator.isspace() else 0

    def last(self, start: int, high: int) -> int:
        """Look back from `high`."""
        end = self._end
        if high >= end:
            return end
        high += self._behind
        low = start if self._before else start + 1
        at = self._rfind(self._separator, low, high if high < end else end)
        if at < 0:
            return 0
        if self._run and at > start and self._text[at - 1] == self._run:
            at -= self._out_of_step(start, at)
        at += self._before
        return at if at > start else 0

    def next(self, start: int, low: int) -> int:
        """Look ahead from `low`."""
        low -= self._before
        if low < start:
            low = start
        at = self._find(self._separator, low, self._end)
        if at == low > start and self._text[at - 1] == self._run:
            beyond = self._out_of_step(start, at)
            if beyond:
                at = self._find(self._separator, at + len(self._separator) - beyond, self._end)
        return at + self._before if at >= 0 else self._end

    def end(self, start: int) -> int:
        """Where the next one begins."""
        return self.next(start, start + 1)

    def _out_of_step(self, start: int, at: int) -> int:
        """How far behind the last edge in a run `at` is."""
        return (at - start - len(self._text[start:at].rstrip(self._run))) % len(self._separator)


def literal(separator: str, at_end: bool, text: str, start: int, end: int) -> Literal | None:
    """The pieces of text[start:end]; None where the separator does not stand in it."""
    return Literal(separator, at_end, text, end) if text.find(separator, start, end) >= 0 else None


class Each:
    """A piece a character."""

    blank = 0
    gaps = False

    def __init__(self, _text: str, _start: int, end: int) -> None:
        self._end = end

    def last(self, start: int, high: int) -> int:
        """Just there."""
        return min(high, self._end) if high > start else 0

    def next(self, _start: int, low: int) -> int:
        """Just there."""
        return min(low, self._end)

    def end(self, start: int) -> int:
        """Just behind."""
        return start + 1


class Sought:
    """Pieces that end where matches do, which are looked for only where a chunk can end."""

    blank = 0
    gaps = False

    def __init__(self, pattern: re.Pattern[str], text: str, _start: int, end: int) -> None:
        self._find = pattern.finditer
        self._text = text
        self._end = end

    def last(self, start: int, high: int) -> int:
        """Look back from `high`; in the last quarter first, since what is wanted is most often there."""
        if high >= self._end:
            return self._end
        for low in (high - (high - start) // 4, start):
            for match in reversed(list(self._find(self._text, low, high))):
                if Apart(self._text, start, self._end)(match.end()):
                    return match.end()
        return 0

    def next(self, start: int, low: int) -> int:
        """Look ahead from `low`."""
        apart = Apart(self._text, start, self._end)
        for match in self._find(self._text, low - 1, self._end):
            if match.end() >= low and apart(match.end()):
                return match.end()
        return self._end

    def end(self, start: int) -> int:
        """Where the next one begins."""
        return self.next(start, start + 1)


class Graphemes:
    """A piece a grapheme."""

    blank = 0
    gaps = False

    def __init__(self, text: str, _start: int, end: int) -> None:
        self._text = text
        self._end = end

    def last(self, start: int, high: int) -> int:
        """Look about there."""
        at = grapheme_boundary(self._text, start, high, self._end) if high > start else 0
        return at if at <= high else 0

    def next(self, start: int, low: int) -> int:
        """Look about there."""
        return next_grapheme(self._text, start, low, self._end) or self._end

    def end(self, start: int) -> int:
        """Read one."""
        return grapheme_boundary(self._text, start, start, self._end)


class Apart:
    """Tells whether a place lies between two graphemes; asked from left to right."""

    def __init__(self, text: str, start: int, end: int) -> None:
        self._text = text
        self._known = start  # a grapheme begins here
        self._until = start  # and none between there and here
        self._end = end

    def __call__(self, at: int) -> bool:
        """Whether one ends there."""
        text = self._text
        # Before the combining marks, only a line end of Windows is joined: either half of it is trimmed.
        if self._known < at < self._end and text[at - 1] < "\u0300" > text[at]:
            self._known = self._until = at
            return True
        if at < self._until:
            return at == self._known
        self._until = grapheme_boundary(text, self._known, at, self._end) if at > self._known else at
        if self._until <= at:
            self._known = self._until
        return self._until == at
