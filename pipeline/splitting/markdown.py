"""The Markdown splitter: sections by headings, tables and fences whole where they fit."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pipeline.model import Chunk
from pipeline.ports import TokenCounter
from pipeline.splitter_spec import SplitterSpec
from pipeline.splitting.collector import Uncollected
from pipeline.splitting.parts import SIZE, parts
from pipeline.splitting.prose import SECTIONS, skip_space
from pipeline.splitting.sections import Cutter, Section, cut_sections, ruler_for, span_sections
from pipeline.splitting.structure import Heading, Structure, Whole, title_of
from pipeline.splitting.windows import Span

Title = Callable[[str, Heading], str]


@dataclass(frozen=True, slots=True)
class MarkdownSplitter:
    """Cuts Markdown along its structure; plain text is one section without a heading."""

    spec: SplitterSpec
    counter: TokenCounter

    def split(self, text: str) -> list[Chunk]:
        """Cut a text into chunks whose embedded text, headings in front included, keeps to the bound."""
        with Uncollected(text):
            cut = self._cut(text)
            return [
                chunk for cutter, sections in cut for chunk in cut_sections(cutter, sections, self.counter)
            ]

    def spans(self, text: str) -> list[Span]:
        """The chunks' spans alone, their tokens not counted; exact where characters are the bound."""
        with Uncollected(text):
            cut = self._cut(text, titled=self.spec.prefix_headings)
            return [span for cutter, sections in cut for span in span_sections(cutter, sections)]

    def _cut(self, text: str, *, titled: bool = True) -> Iterator[tuple[Cutter, list[Section]]]:
        """The sections, each under its headings, a part of the text at a time, and what cuts them."""
        spec, counter = self.spec, self.counter
        paths = Paths(title_of, spec.prefix_headings) if titled else None
        # Neighbours are joined across the whole text.
        for start, part, scan, structure in parts(text, len(text) if spec.join_sections else SIZE):
            cutter = Cutter(part, spec, ruler_for(part, spec, counter), SECTIONS, scan, start)
            yield cutter, sections_of(scan, structure, spec, paths)


def sections_of(scan: str, structure: Structure, spec: SplitterSpec, paths: "Paths | None") -> list[Section]:
    """The sections of a text whose structure is known, the front matter apart.

    A heading followed by nothing but another heading joins that one's section, since a chunk of
    nothing but a heading says little. Without `paths`, sections have none, and no prefixes.
    """
    body, headings, wholes = structure
    if not spec.repeat_table_header:
        wholes = [(start, end, "") for start, end, _ in wholes]
    sections = [Section(0, body, wholes=((0, body, ""),))] if body else []
    first = headings[0][0] if headings else len(scan)
    number = bisect_left(wholes, (first,))
    if body < first:
        sections.append(Section(body, first, wholes=tuple(wholes[:number])))
    sections += _under_headings(scan, headings, wholes[number:], paths)
    return sections


def _under_headings(
    scan: str, headings: list[Heading], wholes: list[Whole], paths: "Paths | None"
) -> Iterator[Section]:
    """A section for each heading, or for a heading with those that follow it at once."""
    number, count, chapter, given = 0, len(headings), 0, 0
    path: tuple[str, ...] = ()
    over = own = ""
    while number < count:
        first = number
        start, body, level, _ = headings[number]
        opens = level == 1
        chapter += opens
        while True:
            number += 1
            if number == count:
                end = len(scan)
                break
            end, behind, level, _ = headings[number]
            if skip_space(scan, body, end) < end:
                break
            body = behind
            chapter += level == 1
        if paths:
            path, over, own = paths.down(scan, headings[first:number])
        own_wholes: tuple[Whole, ...] = ()
        if given < len(wholes) and wholes[given][0] < end:
            before, given = given, bisect_left(wholes, (end,), given)
            own_wholes = tuple(wholes[before:given])
        yield Section(start, end, path, over, own, own_wholes, body, (chapter, opens))


class Paths:
    """Follows the headings that hold, from the top of the document down; `title` gives a heading's words."""

    def __init__(self, title: Title, prefixed: bool) -> None:
        self._title = title
        self._prefixed = prefixed
        self._open: list[tuple[int, tuple[str, ...]]] = []  # level, and the path down to it

    def down(self, scan: str, headings: Sequence[Heading]) -> tuple[tuple[str, ...], str, str]:
        """Go to a section's headings; gives its path, and the prefixes of its first and of later chunks."""
        open_, over = self._open, None
        path: tuple[str, ...] = ()
        for heading in headings:
            level = heading[2]
            while open_ and open_[-1][0] >= level:
                open_.pop()
            above = open_[-1][1] if open_ else ()
            over = above if over is None or len(above) < len(over) else over
            title = self._title(scan, heading)
            path = (*above, title) if title else above
            open_.append((level, path))
        return (path, prefix_of(over or ()), prefix_of(path)) if self._prefixed else (path, "", "")


def prefix_of(headings: Sequence[str]) -> str:
    """What goes before the embedded text of what is under some headings."""
    return " > ".join(headings) + "\n\n" if headings else ""
