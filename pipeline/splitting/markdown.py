"""The Markdown splitter: sections by headings, tables and fences whole where they fit."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.model import Chunk, SplitterSpec
from pipeline.ports import TokenCounter
from pipeline.splitting.prose import plain_lines
from pipeline.splitting.sections import Section, Span, chunk_sections, span_sections
from pipeline.splitting.structure import Heading, Whole, read_structure


@dataclass(frozen=True, slots=True)
class MarkdownSplitter:
    """Cuts Markdown along its structure; plain text is one section without a heading."""

    spec: SplitterSpec
    counter: TokenCounter

    def split(self, text: str) -> list[Chunk]:
        """Cut a text into chunks whose embedded text, headings in front included, keeps to the bound."""
        return chunk_sections(text, markdown_sections(text, self.spec), self.spec, self.counter)

    def spans(self, text: str) -> list[Span]:
        """The chunks' spans alone, their tokens not counted; exact where characters are the bound."""
        return span_sections(text, markdown_sections(text, self.spec), self.spec, self.counter)


def markdown_sections(text: str, spec: SplitterSpec) -> list[Section]:
    """The sections of a Markdown text, each under its headings, the front matter apart.

    A heading followed by nothing but a deeper heading joins that one's section, since a chunk of
    nothing but a heading says little.
    """
    scan = plain_lines(text)
    body, headings, found = read_structure(scan)
    wholes = found if spec.repeat_table_header else [Whole(one.start, one.end) for one in found]
    sections = [Section(0, body, wholes=(Whole(0, body),))] if body else []
    first = headings[0][0] if headings else len(scan)
    if body < first:
        sections.append(Section(body, first))
    sections.extend(_under_headings(scan, headings, spec.prefix_headings))
    return _with_wholes(sections, wholes)


def _with_wholes(sections: list[Section], wholes: list[Whole]) -> list[Section]:
    """Give each section what begins in it."""
    number = len(sections) - 1
    last = len(wholes)
    while last:
        while sections[number].start > wholes[last - 1].start:
            number -= 1
        first = bisect_left(wholes, sections[number].start, hi=last, key=lambda whole: whole.start)
        sections[number] = sections[number]._replace(wholes=tuple(wholes[first:last]))
        last = first
    return sections


def _under_headings(scan: str, headings: list[Heading], prefixed: bool) -> Iterator[Section]:
    """A section for each heading, or for a heading with those deeper ones that follow it at once."""
    open_: list[tuple[int, tuple[str, ...]]] = []  # the headings that hold: level, and the path down to it
    number, count = 0, len(headings)
    while number < count:
        start, body, level, title = headings[number]
        while open_ and open_[-1][0] >= level:
            open_.pop()
        path = above = open_[-1][1] if open_ else ()
        while True:
            if title:
                path = (*path, title)
            open_.append((level, path))
            number += 1
            if number == count:
                end = len(scan)
                break
            end, behind, deeper, title = headings[number]
            if deeper <= level or not (end == body or scan[body:end].isspace()):
                break
            body, level = behind, deeper
        over, own = (_prefix(above), _prefix(path)) if prefixed else ("", "")
        yield Section(start, end, path, over, own, (), body)


def _prefix(headings: Sequence[str]) -> str:
    return " > ".join(headings) + "\n\n" if headings else ""
