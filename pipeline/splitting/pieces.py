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

_PARAGRAPH = re.compile(r"\n[ \t\r]*\n\s*(?<=\n)|\r[ \t]*\r(?!\n)")
_ITEM = re.compile(r"\n(?=[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t])")
_LINE = re.compile(r"\n|\r(?!\n)|[\x0b\x0c\x85\u2028\u2029]")
# Japanese marks need no space behind them; the full-width full stop can stand in a number.
_SENTENCE = re.compile(
    r"(?<![.!?])[.!?]++[\"'”’)\]]*+\s+"
    r"|(?:[。！？｡]|．(?![0-9０-９]))+[」』）〉》】〕］｝”’)\]]*\s*"
)
_CLAUSE = re.compile(r"[,;:]\s+|[、，；：]\s*| [-–—] ")
_WORD = re.compile(r"\s+")

# Separators by level, the strongest first; a boundary lies behind the match. Graphemes are the last level.
_PROSE = (_PARAGRAPH, _ITEM, _SENTENCE, _LINE, _CLAUSE, _WORD)
_LINES = (_PARAGRAPH, _ITEM, _LINE, _SENTENCE, _CLAUSE, _WORD)
_LEVELS = len(_PROSE)

# Spaces apart, no text has tokens as long as this on average, and counting is what splitting costs:
# a longer segment is cut one level finer without asking.
_CHARACTERS_A_TOKEN = 8

# What belongs to the character before it: no boundary lies in front of it.
_JOINED = regex.compile(r"[\p{GCB=Extend}\p{GCB=SpacingMark}\p{GCB=ZWJ}]")

# A flag is two regional indicators. \X alone would count back through all before each of them.
_CHARACTER = regex.compile(rf"\p{{Regional_Indicator}}{{2}}{_JOINED.pattern}*+|\X")


class Piece(NamedTuple):
    """A stretch of text that packing never cuts."""

    start: int  # characters
    end: int
    strength: int  # of the boundary at `start`, 1 for a paragraph's
    tokens: int  # of this piece by itself


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of text to be cut into pieces no longer than `bound` tokens."""

    start: int
    end: int
    bound: int
    by_lines: bool = False  # whether lines, as in tables and code, are worth more than sentences
    strength: int = 1


def cut(text: str, segments: Sequence[Segment], counter: TokenCounter) -> Iterator[list[Piece]]:
    """Cut each segment into pieces; gives one list a segment, in order.

    A piece exceeds its segment's bound only where a single grapheme does.
    """
    done: list[list[Piece]] = [[] for _ in segments]
    open_ = [(number, segment) for number, segment in enumerate(segments)]
    for level in range(_LEVELS + 1):
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
    worth = [always or _size(text, s) <= s.bound * _CHARACTERS_A_TOKEN for _, s in segments]
    texts = [text[s.start : s.end] for (_, s), ask in zip(segments, worth, strict=True) if ask]
    counts = iter(counter.count(texts) if texts else ())
    for (number, segment), ask in zip(segments, worth, strict=True):
        yield number, segment, next(counts) if ask else None


def _size(text: str, segment: Segment) -> int:
    """A segment's characters without its spaces: tables and code are padded with them."""
    return segment.end - segment.start - text.count(" ", segment.start, segment.end)


def _divide(text: str, segment: Segment, level: int) -> Iterator[Segment]:
    if level < _LEVELS:
        separator = (_LINES if segment.by_lines else _PROSE)[level]
        found = (match.end() for match in separator.finditer(text, segment.start, segment.end))
        ends = [end for end in found if not _JOINED.match(text, end)]
    else:
        ends = _grapheme_groups(text, segment)
    start, before = segment.start, segment.strength
    for end in ends:
        if start < end < segment.end:
            yield Segment(start, end, segment.bound, segment.by_lines, before)
            start, before = end, level + 1
    yield Segment(start, segment.end, segment.bound, segment.by_lines, before)


def _grapheme_groups(text: str, segment: Segment) -> list[int]:
    """Ends of groups of graphemes that fit the bound whatever the tokenizer.

    No byte-level tokenizer gives more tokens than there are bytes, and one for the word's start.
    """
    ends, size = [], 0
    for match in _CHARACTER.finditer(text, segment.start, segment.end):
        grown = len(match.group().encode("utf-8", "surrogatepass"))
        if size and size + grown >= segment.bound:
            ends.append(match.start())
            size = 0
        size += grown
    return ends
