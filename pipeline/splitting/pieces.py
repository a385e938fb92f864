"""Cuts text into pieces that fit a bound, at the coarsest separators that make them fit.

Every piece remembers the strength of the boundary before it, so that packing can prefer a
paragraph's end to a sentence's end. A smaller number is a stronger boundary.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import regex

from pipeline.ports import TokenCounter

BLOCK = 1  # a paragraph, list, table or fence begins
_ITEM, _LINE, _SENTENCE, _CLAUSE, _WORD, _GRAPHEME = 2, 3, 4, 5, 6, 7

# Each level's separators; a boundary lies behind the match. Japanese marks need no space behind them.
_SEPARATORS: Sequence[tuple[int, re.Pattern[str]]] = (
    (BLOCK, re.compile(r"\n[ \t\r]*\n\s*(?<=\n)|\r[ \t]*\r(?!\n)")),
    (_ITEM, re.compile(r"\n(?=[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t])")),
    (_LINE, re.compile(r"\n|\r(?!\n)|[\x0b\x0c\x85\u2028\u2029]")),
    (_SENTENCE, re.compile(r"(?<![.!?])[.!?]++[\"'”’)\]]*+\s+|[。！？｡]+[」』）〉》】”’]*\s*")),
    (_CLAUSE, re.compile(r"[,;:]\s+|[、，；：]\s*| [-–—] ")),
    (_WORD, re.compile(r"\s+")),
)

# No tokenizer needs as many tokens as this has characters, and counting is what splitting costs:
# a longer segment is cut one level finer without asking.
_CHARACTERS_A_TOKEN = 8


class Piece(NamedTuple):
    """A stretch of text that packing never cuts."""

    start: int  # characters
    end: int
    strength: int  # of the boundary at `start`
    tokens: int  # of this piece by itself


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of text to be cut into pieces no longer than `bound` tokens."""

    start: int
    end: int
    strength: int
    bound: int


def cut(text: str, segments: Sequence[Segment], counter: TokenCounter) -> Iterator[list[Piece]]:
    """Cut each segment into pieces; gives one list a segment, in order.

    A piece exceeds its segment's bound only where a single grapheme does.
    """
    done: list[list[Piece]] = [[] for _ in segments]
    open_ = [(number, segment) for number, segment in enumerate(segments)]
    for level in range(len(_SEPARATORS) + 1):
        finer: list[tuple[int, Segment]] = []
        for number, segment, tokens in _count(text, open_, counter):
            if tokens is not None and tokens <= segment.bound:
                done[number].append(Piece(segment.start, segment.end, segment.strength, tokens))
            else:
                finer.extend((number, part) for part in _divide(text, segment, level))
        open_ = finer
    for number, segment, tokens in _count(text, open_, counter, always=True):
        done[number].append(Piece(segment.start, segment.end, segment.strength, tokens or 0))
    for pieces in done:
        pieces.sort()
        yield pieces


def _count(
    text: str, segments: Sequence[tuple[int, Segment]], counter: TokenCounter, *, always: bool = False
) -> Iterator[tuple[int, Segment, int | None]]:
    """Count each segment's tokens, None for those that are too long to be worth counting."""
    worth = [always or s.end - s.start <= s.bound * _CHARACTERS_A_TOKEN for _, s in segments]
    texts = [text[s.start : s.end] for (_, s), ask in zip(segments, worth, strict=True) if ask]
    counts = iter(counter.count(texts) if texts else ())
    for (number, segment), ask in zip(segments, worth, strict=True):
        yield number, segment, next(counts) if ask else None


def _divide(text: str, segment: Segment, level: int) -> Iterator[Segment]:
    if level < len(_SEPARATORS):
        strength, separator = _SEPARATORS[level]
        ends = [match.end() for match in separator.finditer(text, segment.start, segment.end)]
    else:
        strength, ends = _GRAPHEME, _grapheme_groups(text, segment)
    start, before = segment.start, segment.strength
    for end in ends:
        if start < end < segment.end:
            yield Segment(start, end, before, segment.bound)
            start, before = end, strength
    yield Segment(start, segment.end, before, segment.bound)


def _grapheme_groups(text: str, segment: Segment) -> list[int]:
    """Ends of groups of graphemes that fit the bound whatever the tokenizer.

    No byte-level tokenizer gives more tokens than there are bytes, and one for the word's start.
    """
    ends, size = [], 0
    for match in regex.finditer(r"\X", text, pos=segment.start, endpos=segment.end):
        grown = len(match.group().encode("utf-8", "surrogatepass"))
        if size and size + grown >= segment.bound:
            ends.append(match.start())
            size = 0
        size += grown
    return ends
