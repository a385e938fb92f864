"""Rulers: how far a bound reaches in a text, in characters or in tokens.

A ruler of tokens tells by sums where a chunk may end, about. What a chunk turns out to be is told then, and
counted as far as sums do not tell.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Protocol

from pipeline.model import Chunk
from pipeline.ports import TokenCounter, tells_offsets
from pipeline.splitting.sums import sums_over

_COUNTED_AT_ONCE = 8192  # texts
_DOUBT = 4  # tokens: what sums tell is seldom off by more than one or two


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
    """Measures in tokens: as far as sums tell, or counted."""

    def __init__(self, text: str, counter: TokenCounter) -> None:
        self._text = text
        self._counter = counter
        self._sums = sums_over(text, counter)
        self._seam = counter.seam if tells_offsets(counter) else None
        self._known: dict[tuple[int, int], int] = {}  # the tokens of what was asked for, by start and end
        self._prefixes: dict[str, int] = {}  # theirs

    def reach(self, start: int, bound: int) -> int:
        """Where so many tokens end, about."""
        return self._sums.place(start, bound if bound > 0 else 0)

    def back(self, end: int, bound: int) -> int:
        """Where so many tokens begin, about."""
        return self._sums.place(end, -bound)

    def fits(self, start: int, end: int, bound: int) -> bool:
        """Whether there are so few tokens; where sums leave a doubt, they are counted."""
        about = self._sums.before(end) - self._sums.before(start)
        doubt = _DOUBT + about // 16
        return about < bound - doubt or (about <= bound + doubt and self.over(start, end, bound) <= 0)

    def over(self, start: int, end: int, bound: int) -> int:
        """How many tokens there are too many; they are remembered."""
        tokens = self._known.get((start, end))
        if tokens is None:
            tokens = self._known[start, end] = self._sums.between(start, end)
        return tokens - bound

    def sizes(self, texts: Sequence[str]) -> list[int]:
        """The texts' tokens."""
        return self._counter.count(texts)

    def told(self, start: int, end: int, prefix: str) -> int | None:
        """The tokens of text[start:end] behind a prefix; None where all of it has to be counted."""
        if self._seam is None:
            return None if prefix else self._known.get((start, end))
        if not prefix:
            return self.over(start, end, 0)
        if not self._seam.match(prefix[-1] + self._text[start], 1):
            return None
        if prefix not in self._prefixes:
            [self._prefixes[prefix]] = self._counter.count([prefix])
        return self._prefixes[prefix] + self.over(start, end, 0)


def counted(text: str, spans: Sequence[tuple[int, int]], counter: TokenCounter) -> list[Chunk]:
    """The chunks of a text that lie at some spans, their tokens counted."""
    tokens = counts((text[start:end] for start, end in spans), counter)
    return [Chunk(start, end, count) for (start, end), count in zip(spans, tokens, strict=True)]


def counts(texts: Iterator[str], counter: TokenCounter) -> Iterator[int]:
    """The tokens of each text; a large number of them is never held at once."""
    while batch := list(islice(texts, _COUNTED_AT_ONCE)):
        yield from counter.count(batch)
