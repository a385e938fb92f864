"""Separators, coarse to fine, and what each of them cuts a stretch of text into."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import takewhile

from pipeline.errors import InputError
from pipeline.ports import TokenCounter
from pipeline.splitting.listed import counted, listed
from pipeline.splitting.pieces import Each, Graphemes, Literal, Pieces, Sought, literal
from pipeline.splitting.prose import PHRASE, SPACE

LANGCHAIN = ("\n\n", "\n", " ", "")
_KEEP = ("start", "end", "drop")
_EACH = re.compile("(?s:.)")


@dataclass(frozen=True, slots=True)
class Separators:
    """Where a text may be cut. Raises InputError where that cannot be read."""

    patterns: tuple[str, ...] = LANGCHAIN  # coarse to fine; "" is between any two characters, and the last
    regex: bool = False  # whether they are Python's regular expressions
    keep: str = "start"  # of the piece it belongs to: "start" or "end"; "drop" leaves it out between chunks

    def __post_init__(self) -> None:
        if self.keep not in _KEEP:
            raise InputError(f"a separator cannot be kept at {self.keep!r}; choose one of {', '.join(_KEEP)}")
        for pattern in self.patterns:
            self.compiled(pattern)

    @property
    def coarse(self) -> tuple[str, ...]:
        """The patterns before the one that is empty."""
        return tuple(takewhile(bool, self.patterns))

    def searched(self, pattern: str) -> bool:
        """Whether one of the patterns can be looked for where a chunk can end, and nowhere else."""
        return not self.regex and self.keep != "drop" and Literal.can(pattern)

    def compiled(self, pattern: str) -> re.Pattern[str]:
        """What finds one of the patterns."""
        try:
            return re.compile(pattern if self.regex else re.escape(pattern))
        except re.error as error:
            raise InputError(
                f"the separator {pattern!r} is no regular expression ({error}); mend it, or leave "
                "separators_are_regex out"
            ) from error


Level = Callable[[str, int, int], Pieces | None]
"""Cuts text[start:end] at one separator; None where there is nothing to cut it at."""


def own_levels(separators: Separators) -> Iterator[Level]:
    """The levels of one's own separators; words, phrases and graphemes are below them."""
    at_end = separators.keep == "end"
    for pattern in separators.coarse:
        # No line end is joined to another character, but for that of Windows, whose halves are trimmed.
        if separators.searched(pattern) and pattern[-1 if at_end else 0] == "\n":
            yield partial(literal, pattern, at_end)
        else:
            yield partial(listed, separators.compiled(pattern), separators.keep, True)
    yield partial(Sought, SPACE)
    yield partial(Sought, PHRASE)
    yield Graphemes


def langchain_levels(separators: Separators) -> Iterator[Level]:
    """The levels that LangChain goes through, where characters are the bound."""
    for pattern in separators.coarse:
        if separators.searched(pattern):
            yield partial(literal, pattern, separators.keep == "end")
        else:
            yield partial(listed, separators.compiled(pattern), separators.keep, False)
    if "" in separators.patterns:
        yield Each


def counted_levels(separators: Separators, counter: TokenCounter, most: int) -> Iterator[Level]:
    """The same where tokens are: pieces that have more than `most` stand alone."""
    for pattern in separators.coarse:
        yield partial(counted, separators.compiled(pattern), separators.keep, counter, most)
    if "" in separators.patterns:
        yield partial(counted, _EACH, "end", counter, most)
