"""Reads the structure of Markdown that splitting needs: headings, and what is to be kept whole.

It follows CommonMark 0.31 and GitHub's tables as to where headings, fences, tables and raw HTML begin
and end. One regular expression goes from one telling line to the next, and over whole fences. Other
lines are read only where something indented, or an underline, asks what they are. It departs from
CommonMark where writers do: a heading or a fence ends an HTML block even without a blank line before it.
"""

import re
from typing import NamedTuple

from pipeline.splitting.fences import fence_at, fence_end, line_end, raw_html_end
from pipeline.splitting.lines import Lines

# Groups: hashes; a fence as most are; the marks of another fence; raw HTML; indented hashes; dashes.
_TELLING = (
    r"(?:(#{1,6})(?=[ \t\n]|\Z)[^\n]*+"
    r"|(```)[^`\n]*+(?=\n)(?:[^`]++|(?<![\n ])`++|(?<!\n)(?<!\n )(?<!\n  )(?<!\n   )`++|`{1,2}(?!`))*+"
    r"(?<=\n)```[ \t]*+(?=\n|\Z)"
    r"|(```|~~~|[ \t>*+\-0-9][ \t>*+\-0-9.)]*+(?:```|~~~))"
    r"|(<| {1,3}<)(?=[!?]|[sS][cCtT]|[pP][rR][eE]|[tT][eE][xX])"
    r"|[ \t]++(#{1,6})(?=[ \t\n]|\Z)[^\n]*+"
    r"|[ \t>]*+([-=|:])[-=|: \t]*+(?=\n|\Z))"
)
# Sooner than all groups are tried, this tells of most lines of lists that they are none of them.
_LINE = re.compile(r"\n(?=[#`~<=|:]|[ \t>*+\-0-9][ \t>*+\-0-9.)]*+(?:[#`~<=|:\n]|\Z))" + _TELLING)
_FIRST_LINE = re.compile(r"\ufeff?" + _TELLING)
_UNDERLINE = re.compile(r"[ \t]*+(?:=++|-++)[ \t]*+(?=\n|\Z)")
_TABLE_RULE = re.compile(
    r"([ \t>]*+)\|?[ \t]*+:?-++:?[ \t]*+(?:\|[ \t]*+:?-++:?[ \t]*+)*+\|?[ \t]*+(?=\n|\Z)"
)
_TABLE_END = re.compile(
    r"\n(?=[ \t]*+(?:\n|\Z|#{1,6}[ \t\n]|`{3}|~{3}|>|[-*+][ \t]|[0-9]{1,9}[.)][ \t]"
    r"|(?:(?:\*[ \t]*+){3,}|(?:_[ \t]*+){3,})(?=\n|\Z)|<(?:[!?]|/?[a-zA-Z][a-zA-Z0-9]*+[ \t/>\n])))"
)
_QUOTED_TABLE_END = re.compile(r"\n(?![ \t]*+>[^\n]*\|)")
_FRONT_MATTER = re.compile(r"\ufeff?---[ \t]*+\n(?=\S)")  # not a rule: its first line is not blank
_FRONT_MATTER_END = re.compile(r"^(?:---|\.\.\.)[ \t]*+(?:\n|\Z)", re.MULTILINE)
_HEADING_ID = re.compile(r"\{:? *[#.][^{}]*\}$")

# A title is repeated for every section below it: this keeps a page-long one from growing quadratically.
_TITLE = 200  # characters

Heading = tuple[int, int, int, int]
"""Where a heading's lines start and end, its level from 1 to 6, and where its words start."""

Whole = tuple[int, int, str]
"""A stretch of lines to keep whole where it fits, a fence, a table, raw HTML: its start and end, and of a
table the header, which can be repeated before later pieces."""


class Structure(NamedTuple):
    """What a text is made of, in order."""

    body: int  # where the text behind the front matter starts; 0 where there is none
    headings: list[Heading]
    wholes: list[Whole]


def read_structure(scan: str) -> Structure:
    """The structure of a Markdown text whose line ends are line feeds (`prose.plain_lines`)."""
    reader = _Reader(scan)
    reader.read()
    return Structure(reader.body, reader.headings, reader.wholes)


def opens_front_matter(scan: str) -> bool:
    """Whether a text begins as front matter does, which may end further on."""
    return _FRONT_MATTER.match(scan) is not None


def title_of(scan: str, heading: Heading) -> str:
    """A heading's words, white space folded, without closing hashes and without its id."""
    start, end, _, words = heading
    if words == start:  # underlined
        return shortened(_without_id(" ".join(scan[start : scan.rfind("\n", start, end - 1)].split())))
    title = " ".join(scan[words:end].split())
    if title[-1:] in ("#", "}"):
        title = _without_id(title)
        unclosed = title.rstrip("#")
        if unclosed != title and unclosed[-1:] in ("", " "):
            title = _without_id(unclosed.rstrip())
    return shortened(title)


def shortened(title: str) -> str:
    """A title that can be repeated."""
    return title if len(title) <= _TITLE else title[: _TITLE - 1] + "…"


def _without_id(title: str) -> str:
    found = _HEADING_ID.search(title) if title.endswith("}") else None
    return title[: found.start()].rstrip() if found else title


class _Reader:
    """Goes from one telling line to the next."""

    def __init__(self, scan: str) -> None:
        self.scan = scan
        self.headings: list[Heading] = []
        self.wholes: list[Whole] = []
        self.body = _front_matter(scan)
        self._known = self.body  # what is before this is no paragraph that could go on
        self._left = self.body  # where the block ended that no list or paragraph goes on behind
        self._lines = Lines(scan, self.body)

    def read(self) -> None:
        """Read all of the text."""
        at: int | None = self.body
        if not at:
            first = _FIRST_LINE.match(self.scan)
            at = self._take(first, 0) if first else 1
        while at is not None:
            at = self._read_on(at)
        # The last line may have no line feed.
        for found in (self.headings, self.wholes):
            if found and found[-1][1] > len(self.scan):
                found[-1] = (found[-1][0], len(self.scan), *found[-1][2:])

    def _read_on(self, at: int) -> int | None:
        """Read from a line's start, until something but a line is passed; gives where to go on from there."""
        headings, wholes = self.headings, self.wholes
        for line in _LINE.finditer(self.scan, at - 1):
            kind = line.lastindex
            if kind == 1:
                start, end = line.span()
                words = line.end(1)
                headings.append((start + 1, end + 1, words - start - 1, words))
                self._known = self._left = end + 1
            elif kind == 2:
                start, end = line.span()
                wholes.append((start + 1, end + 1, ""))
                self._known = self._left = end + 1
            else:
                start = line.start() + 1
                on = self._take(line, start)
                if on > line.end() + 1:
                    return on
        return None

    def _take(self, line: re.Match[str], start: int) -> int:
        """Take a telling line; gives where to go on."""
        first, end = line.start(line.lastindex or 0), line_end(self.scan, line.end())
        match line.lastindex:
            case 1:
                self._heading(start, end, len(line[1]), line.end(1))
            case 2:
                self._whole(start, end)
            case 3:
                return self._fence(start, line_end(self.scan, start))
            case 4:
                return self._raw_html(start, first + len(line[4]) - 1, end)
            case 5:
                if len(self.scan[start:first].expandtabs(4)) < 4 and not self._lines_to(end).column:
                    self._heading(start, end, len(line[5]), line.end(5))
            case _:
                return self._below_a_line(start, first, end)
        return end

    def _heading(self, start: int, end: int, level: int, words: int) -> None:
        self.headings.append((start, end, level, words))
        self._known = self._left = end

    def _whole(self, start: int, end: int, header: str = "", *, contained: bool = False) -> int:
        self.wholes.append((start, end, header))
        self._known = end
        if contained:  # what is around it can go on
            self._lines.skip(end)
        else:
            self._left = end
        return end

    def _lines_to(self, end: int) -> Lines:
        """The lines, read until `end`."""
        if self._left:
            self._lines.leave(self._left)
            self._left = 0
        self._lines.read_to(end)
        return self._lines

    def _fence(self, start: int, behind: int) -> int:
        fence = fence_at(self.scan, start)
        if fence is None:
            return behind
        before, marks = fence
        column = self._lines_to(behind).column if before else 0
        if not column and ">" not in before and len(before.expandtabs(4)) > 3:
            return behind
        end = fence_end(self.scan, behind, before, marks, column)
        return self._whole(start, end, contained=bool(column) or ">" in before)

    def _raw_html(self, start: int, first: int, behind: int) -> int:
        end = raw_html_end(self.scan, first)
        return self._whole(start, end) if end else behind

    def _below_a_line(self, start: int, first: int, end: int) -> int:
        """Take a line of dashes and the like, which can make the line above a heading or a table's header."""
        scan = self.scan
        above = scan.rfind("\n", 0, start - 1) + 1
        if above < self._known or start == 0 or scan[above:start].isspace():
            return end
        rule = _TABLE_RULE.match(scan, start)
        if rule and "|" in rule[0] and "|" in scan[above:start]:
            found = (_QUOTED_TABLE_END if ">" in rule[1] else _TABLE_END).search(scan, rule.end())
            self._lines_to(above)
            table_end = found.start() + 1 if found else len(scan)
            return self._whole(above, table_end, scan[above:start].strip() + "\n", contained=True)
        if first < start + 4 and _UNDERLINE.match(scan, start):
            lines = self._lines_to(start)
            if not lines.column and lines.kind == "paragraph":
                self._heading(lines.start, end, 1 if scan[first] == "=" else 2, lines.start)
        return end


def _front_matter(scan: str) -> int:
    """Where the front matter ends; 0 where there is none."""
    start = _FRONT_MATTER.match(scan)
    end = _FRONT_MATTER_END.search(scan, start.end()) if start else None
    return end.end() if end else 0
