"""The Markdown splitter: sections by headings, tables and fences whole where they fit."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from pipeline.model import Chunk
from pipeline.ports import TokenCounter
from pipeline.splitter_spec import SplitterSpec
from pipeline.splitting.collector import Uncollected
from pipeline.splitting.prose import SECTIONS, skip_space
from pipeline.splitting.sections import Cutter, Section, cut_sections, ruler_for, span_sections
from pipeline.splitting.structure import Heading, Structure, Whole, read_structure, title_of
from pipeline.splitting.windows import Span

Title = Callable[[Heading], str]


@dataclass(frozen=True, slots=True)
class MarkdownSplitter:
    """Cuts Markdown along its structure; plain text is one section without a heading."""

    spec: SplitterSpec
    counter: TokenCounter

    def split(self, text: str) -> list[Chunk]:
        """Cut a text into chunks whose embedded text, headings in front included, keeps to the bound."""
        with Uncollected(text):
            cutter = self._cutter(text)
            return cut_sections(cutter, markdown_sections(cutter.scan, self.spec), self.counter)

    def spans(self, text: str) -> list[Span]:
        """The chunks' spans alone, their tokens not counted; exact where characters are the bound."""
        with Uncollected(text):
            cutter = self._cutter(text)
            sections = markdown_sections(cutter.scan, self.spec, titled=self.spec.prefix_headings)
            return span_sections(cutter, sections)

    def _cutter(self, text: str) -> Cutter:
        return Cutter(text, self.spec, ruler_for(text, self.spec, self.counter), SECTIONS)


def markdown_sections(scan: str, spec: SplitterSpec, *, titled: bool = True) -> list[Section]:
    """The sections of a Markdown text with plain line ends, each under its headings, the front matter apart.

    A heading followed by nothing but another heading joins that one's section, since a chunk of
    nothing but a heading says little. Not `titled`, sections have no paths and no prefixes.
    """
    return sections_of(scan, read_structure(scan), spec, partial(title_of, scan) if titled else None)


def sections_of(scan: str, structure: Structure, spec: SplitterSpec, title: Title | None) -> list[Section]:
    """The sections of a text whose structure is known; `title` gives a heading's words."""
    body, headings, wholes = structure
    if not spec.repeat_table_header:
        wholes = [(start, end, "") for start, end, _ in wholes]
    sections = [Section(0, body, wholes=((0, body, ""),))] if body else []
    first = headings[0][0] if headings else len(scan)
    number = bisect_left(wholes, (first,))
    if body < first:
        sections.append(Section(body, first, wholes=tuple(wholes[:number])))
    paths = _Paths(title, spec.prefix_headings) if title else None
    sections += _under_headings(scan, headings, wholes[number:], paths)
    return sections


def _under_headings(
    scan: str, headings: list[Heading], wholes: list[Whole], paths: "_Paths | None"
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
            path, over, own = paths.down(headings[first:number])
        own_wholes: tuple[Whole, ...] = ()
        if given < len(wholes) and wholes[given][0] < end:
            before, given = given, bisect_left(wholes, (end,), given)
            own_wholes = tuple(wholes[before:given])
        yield Section(start, end, path, over, own, own_wholes, body, (chapter, opens))


class _Paths:
    """Follows the headings that hold, from the top of the document down."""

    def __init__(self, title: Title, prefixed: bool) -> None:
        self._title = title
        self._prefixed = prefixed
        self._open: list[tuple[int, tuple[str, ...]]] = []  # level, and the path down to it

    def down(self, headings: Sequence[Heading]) -> tuple[tuple[str, ...], str, str]:
        """Go to a section's headings; gives its path, and the prefixes of its first and of later chunks."""
        open_, over = self._open, None
        path: tuple[str, ...] = ()
        for heading in headings:
            level = heading[2]
            while open_ and open_[-1][0] >= level:
                open_.pop()
            above = open_[-1][1] if open_ else ()
            over = above if over is None or len(above) < len(over) else over
            title = self._title(heading)
            path = (*above, title) if title else above
            open_.append((level, path))
        return (path, prefix_of(over or ()), prefix_of(path)) if self._prefixed else (path, "", "")


def prefix_of(headings: Sequence[str]) -> str:
    """What goes before the embedded text of what is under some headings."""
    return " > ".join(headings) + "\n\n" if headings else ""
