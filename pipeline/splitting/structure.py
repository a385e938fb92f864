"""Reads the structure of Markdown that splitting needs: headings, and what is to be kept whole.

It follows CommonMark 0.31 and GitHub's tables as to where headings, fences, tables and raw HTML begin
and end. One regular expression jumps from one telling line to the next; all others are read only where
something indented, or an underline, asks what they are. It departs from CommonMark where writers do: a
heading or a fence ends an HTML block even without a blank line before it.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from pipeline.splitting.lines import Lines

# The lines that can tell: headings, underlines, rules, rows below a table's header, raw HTML. Fences
# are found by their marks, since those can stand behind the marks of lists and quotes.
_TELLING = (
    r"([ \t]*+)(?:(\#{1,6})(?=[ \t\n]|\Z)|[-=|:][-=|:\ \t]*+(?=\n|\Z)"
    r"|<(?=[!?]|[sS][cCtT]|[pP][rR][eE]|[tT][eE][xX]))"
)
_LINE = re.compile(r"\n" + _TELLING)
_FIRST_LINE = re.compile(r"\ufeff?" + _TELLING)
_UNDERLINE = re.compile(r"(?:=++|-++)[ \t]*+(?=\n|\Z)")
_TABLE_RULE = re.compile(r"\|?[ \t]*+:?-++:?[ \t]*+(?:\|[ \t]*+:?-++:?[ \t]*+)*+\|?[ \t]*+(?=\n|\Z)")
_TABLE_END = re.compile(
    r"\n(?=[ \t]*+(?:\n|\Z|\#{1,6}[ \t\n]|`{3}|~{3}|>|[-*+][ \t]|\d{1,9}[.)][ \t]"
    r"|(?:(?:\*[ \t]*+){3,}|(?:_[ \t]*+){3,})(?=\n|\Z)|<(?:[!?]|/?[a-zA-Z][a-zA-Z0-9]*+[ \t/>\n])))"
)
_FENCE = re.compile(r"\ufeff?((?:[ \t]|>|[-*+][ \t]|\d{1,9}[.)][ \t])*+)(`{3,}+(?=[^`\n]*+(?:\n|\Z))|~{3,}+)")
_RAW_HTML = [
    (re.compile(f"<{start}", re.IGNORECASE), re.compile(end, re.IGNORECASE))
    for start, end in (
        (r"(?:script|pre|style|textarea)(?=[ \t>\n]|\Z)", "</(?:script|pre|style|textarea)>"),
        ("!--", "-->"),
        (r"\?", r"\?>"),
        (r"!\[CDATA\[", r"\]\]>"),
        (r"![a-z]", ">"),
    )
]
_FRONT_MATTER = re.compile(r"\ufeff?---[ \t]*+\n(?=\S)")  # not a rule: its first line is not blank
_FRONT_MATTER_END = re.compile(r"^(?:---|\.\.\.)[ \t]*+(?:\n|\Z)", re.MULTILINE)
_HEADING_ID = re.compile(r"\{:? *[#.][^{}]*\}$")

# A title is repeated for every section below it: this keeps a page-long one from growing quadratically.
_TITLE = 200  # characters


Heading = tuple[int, int, int, str]
"""Where a heading's lines start and end, its level from 1 to 6, and its words."""


class Whole(NamedTuple):
    """A stretch of lines to keep whole where it fits: a fence, a table, raw HTML."""

    start: int
    end: int
    header: str = ""  # of a table: what can be repeated before its later pieces


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


class _Reader:
    """Goes from one telling line to the next, over what is to be kept whole."""

    def __init__(self, scan: str) -> None:
        self.scan = scan
        self.headings: list[Heading] = []
        self.wholes: list[Whole] = []
        self.body = _front_matter(scan)
        self.lines = Lines(scan, self.body)
        self.known = self.body  # what is before this is no paragraph that could go on
        self.left = self.body  # where the block ended that ends all lists and paragraphs
        self.ticks = self.tildes = -1  # where a fence's marks come next

    def read(self) -> None:
        """Read all of the text."""
        scan, search, end = self.scan, _LINE.search, len(self.scan)
        at = self.body
        line = _FIRST_LINE.match(scan, at) or search(scan, at)
        mark = self._next_mark(at)
        while line or mark < end:
            if line is None or line.start() > mark:
                at = self._fence(mark)
            elif line[2]:
                at = self._heading(line)
            else:
                at = self._telling(line)
            if mark < at:
                mark = self._next_mark(at)
            # The match begins with the line feed before the line.
            if line and line.end() <= at:
                line = search(scan, at - 1) if at < end else None

    def _next_mark(self, at: int) -> int:
        """Where a fence's marks come next."""
        if self.ticks < at:
            found = self.scan.find("```", at)
            self.ticks = found if found >= 0 else len(self.scan)
        if self.tildes < at:
            found = self.scan.find("~~~", at)
            self.tildes = found if found >= 0 else len(self.scan)
        return min(self.ticks, self.tildes)

    def _line_end(self, at: int) -> int:
        return self.scan.find("\n", at) + 1 or len(self.scan)

    def _telling(self, line: re.Match[str]) -> int:
        """Take a line that is no heading by itself; gives where to go on."""
        start, first = line.span(1)
        end = self._line_end(first)
        if self.scan[first] == "<":
            return self._raw_html(first, start, end)
        return self._below_a_line(first, start, end) if start > self.known else end

    def _heading(self, line: re.Match[str]) -> int:
        """Take a line of hashes; gives where to go on."""
        start, first = line.span(1)
        behind = line.end()
        end = self.scan.find("\n", behind) + 1 or len(self.scan)
        if first > start and not self._outside_of_lists(line[1], end):
            return end
        if start <= self.body + 1:
            start = line.start() if line.start() == self.body else start
        title = self.scan[behind:end].strip()
        if title[-1:] in "#}" or len(title) > _TITLE:
            title = _title(title)
        self.headings.append((start, end, behind - first, title))
        self.known = self.left = end
        return end

    def _outside_of_lists(self, indent: str, end: int) -> bool:
        if len(indent.expandtabs(4)) > 3:
            return False
        return not self._lines_to(end).column

    def _lines_to(self, end: int) -> Lines:
        """The lines, read until `end`."""
        if self.left:
            self.lines.leave(self.left)
            self.left = 0
        self.lines.read_to(end)
        return self.lines

    def _below_a_line(self, first: int, start: int, end: int) -> int:
        """Take a line of dashes and the like, which can make the line above a heading or a table's header."""
        scan = self.scan
        above = scan.rfind("\n", 0, start - 1) + 1
        if above < self.known or scan[above:start].isspace():
            return end
        rule = _TABLE_RULE.match(scan, first)
        if rule and "|" in rule[0] and scan.find("|", above, start) >= 0:
            return self._table(above, rule.end())
        if start + 3 < first or not _UNDERLINE.match(scan, first):
            return end
        lines = self._lines_to(start)
        if lines.column or lines.kind != "paragraph":
            return end
        title = " ".join(scan[lines.start : start].split())
        level = 1 if scan[first] == "=" else 2
        self.headings.append((lines.start, end, level, _shortened(_without_id(title))))
        self.known = self.left = end
        return end

    def _table(self, start: int, rule_end: int) -> int:
        found = _TABLE_END.search(self.scan, rule_end)
        end = found.start() + 1 if found else len(self.scan)
        header = self.scan[start : self.scan.find("\n", start)].strip()
        self.wholes.append(Whole(start, end, header))
        self._lines_to(start).skip(end)
        self.known = end
        return end

    def _raw_html(self, first: int, start: int, end: int) -> int:
        closing = next((close for open_, close in _RAW_HTML if open_.match(self.scan, first)), None)
        if closing is None or first > start + 3:
            return end
        found = closing.search(self.scan, first + 1)
        close = self._line_end(found.end()) if found else len(self.scan)
        if close > end:
            self.wholes.append(Whole(start, close))
        self.known = self.left = close
        return close

    def _fence(self, mark: int) -> int:
        """Take the line of a fence's marks, and what they fence; gives where to go on."""
        scan = self.scan
        end = self._line_end(mark)
        start = mark if mark == self.body or scan[mark - 1] == "\n" else scan.rfind("\n", self.body, mark) + 1
        fence = _FENCE.match(scan, start or self.body)
        if not fence or fence.start(2) != mark:
            return end
        before, marks = fence.groups()
        column, limit = 0, len(scan)
        if before:
            column = self._lines_to(end).column
            if ">" in before:
                limit = _first(_NO_QUOTE, scan, end, limit)
            elif column:
                limit = _first(_outdented(column), scan, end, limit)
            elif len(before.expandtabs(4)) > 3:
                return end
        indented = bool(column) or ">" in before
        close = _closing(marks[0], len(marks), indented).search(scan, end - 1, limit)
        close_end = self._line_end(close.end()) if close else limit
        self.wholes.append(Whole(start, close_end))
        if indented:
            self.lines.skip(close_end)
        else:
            self.left = close_end
        self.known = close_end
        return close_end


_NO_QUOTE = re.compile(r"^(?! {0,3}>)", re.MULTILINE)


def _first(pattern: re.Pattern[str], scan: str, at: int, end: int) -> int:
    found = pattern.search(scan, at, end)
    return found.start() if found else end


@lru_cache(maxsize=64)
def _outdented(column: int) -> re.Pattern[str]:
    """A line that is indented less than a list item's content, and not blank."""
    return re.compile(rf"^(?! {{{column}}}| {{0,{column - 1}}}\t)(?=[ \t]*+[^\s])", re.MULTILINE)


@lru_cache(maxsize=64)
def _closing(mark: str, length: int, indented: bool) -> re.Pattern[str]:
    indent = r"[ \t>]*+" if indented else " {0,3}"
    return re.compile(rf"\n{indent}{re.escape(mark)}{{{length},}}[ \t]*+(?=\n|\Z)")


def _front_matter(scan: str) -> int:
    """Where the front matter ends; 0 where there is none."""
    start = _FRONT_MATTER.match(scan)
    end = _FRONT_MATTER_END.search(scan, start.end()) if start else None
    return end.end() if end else 0


def _title(line: str) -> str:
    """The words of a heading line, without closing hashes and without its id, in either order."""
    title = _without_id(line.strip())
    unclosed = title.rstrip("#")
    if unclosed != title and (not unclosed or unclosed[-1] in " \t"):
        title = _without_id(unclosed.rstrip())
    return _shortened(title)


def _without_id(title: str) -> str:
    found = _HEADING_ID.search(title) if title.endswith("}") else None
    return title[: found.start()].rstrip() if found else title


def _shortened(title: str) -> str:
    return title if len(title) <= _TITLE else title[: _TITLE - 1] + "…"
