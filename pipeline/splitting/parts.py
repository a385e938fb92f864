"""Goes through a long text a part at a time: what is worked on stays in the processor's cache.

What comes of it is what the whole text would give. A part of Markdown ends before a heading, and no block
reaches over one; of plain text those chunks are cut again that a part's end may have had a say in.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.splitting.prose import Style, plain_lines, skip_space
from pipeline.splitting.rulers import Characters
from pipeline.splitting.structure import Structure, opens_front_matter, read_structure
from pipeline.splitting.windows import Bounds, Span, Windows

SIZE = 100_000
"""Characters that a part has at most."""
_MORE = 4  # times as many, where nothing in it can end it
_CONTEXT = 64  # characters before a part, which tell boundaries at its start from what only looks like some


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


def spans_in_parts(text: str, style: Style, bound: int, size: int = SIZE) -> list[Span]:
    """The spans of a plain text's chunks, of at most so many characters; they share none."""
    found: list[Span] = []
    start, reach = 0, max(size, _MORE * bound)
    while True:
        first, end = max(0, start - _CONTEXT), start + reach
        part = text[first:end]
        windows = Windows(part, plain_lines(part), Characters(), style)
        spans = windows.cut(start - first, len(part), Bounds(bound, bound))
        sure = len(spans)
        if end < len(text):  # no chunk looks further than this, but the last one may over white space
            sure = min(sure - 1, bisect_right(spans, (len(part) - 2 * bound, 0)))
        found += [(first + begins, first + ends) for begins, ends in spans[: max(0, sure)]]
        if end >= len(text):
            return found
        if sure > 0:
            start, reach = first + spans[sure][0], max(size, _MORE * bound)
        else:
            reach *= _MORE


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
