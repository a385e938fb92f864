"""Reads a long Markdown text a part at a time: what is worked on stays in the processor's cache.

A part ends before a heading, and no block reaches over one: parts are made of what the whole text is made of.
"""

from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.splitting.prose import plain_lines, skip_space
from pipeline.splitting.structure import Structure, opens_front_matter, read_structure

SIZE = 100_000
"""Characters that a part has at most, where a heading ends it."""
_MORE = 4  # times as many, where none does


class Part(NamedTuple):
    """A part of a text, all positions from its own start."""

    start: int  # in the text, characters
    text: str
    scan: str  # the same with plain line ends
    structure: Structure


def parts(text: str, size: int = SIZE) -> Iterator[Part]:
    """The parts of a text, in order, about so large; of the sections under headings each lies in one."""
    start, reach = 0, size
    while start + reach < len(text):
        end = text.rfind("\n", start, start + reach) + 1
        part = _part(text, start, end) if end else None
        cut = _last_section(part) if part else 0
        if part and cut:
            yield _before(part, cut)
            start, reach = start + cut, size
        else:
            reach *= _MORE
    yield _part(text, start, len(text))


def _part(text: str, start: int, end: int) -> Part:
    part = text[start:end]
    scan = plain_lines(part)
    return Part(start, part, scan, read_structure(scan))


def _last_section(part: Part) -> int:
    """Where the last section begins, at a heading whose line begins with hashes; 0 where there is none."""
    body, headings, _ = part.structure
    scan = part.scan
    if not (part.start or body) and opens_front_matter(scan):
        return 0  # it ends further on, and these are no headings
    for number in range(len(headings) - 1, -1, -1):
        start, _, _, words = headings[number]
        before = headings[number - 1][1] if number else body
        if start < words and scan[start] == "#" and skip_space(scan, before, start) < start:
            return start
    return 0


def _before(part: Part, cut: int) -> Part:
    body, headings, wholes = part.structure
    number = bisect_left(headings, (cut,))
    structure = Structure(body, headings[:number], wholes[: bisect_left(wholes, (cut,))])
    text = part.text[:cut]
    return Part(part.start, text, text if part.scan is part.text else part.scan[:cut], structure)
