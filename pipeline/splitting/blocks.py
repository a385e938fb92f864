"""Reads the block structure of Markdown: headings, fences, tables, lists, in one pass over lines.

It follows CommonMark 0.31 and GitHub's tables as far as splitting needs it: where blocks begin
and end, and what the headings say. Inline markup is left alone.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_FENCE = re.compile(r"[ \t]*(`{3,}(?=[^`]*$)|~{3,})")
_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]|$)")
_HEADING_ID = re.compile(r"[ \t]*\{[^{}]*\}$")
_UNDERLINE = re.compile(r" {0,3}(?:=+|-+)$")
_ITEM = re.compile(r" {0,3}(?:[-*+]|\d{1,9}[.)])(?:[ \t]|$)")
_TABLE_RULE = re.compile(r" {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?$")
_HTML = re.compile(r" {0,3}<(?:!--|[?!]|/?[A-Za-z][\w-]*(?=[\s/>]|$))")
_RAW_HTML_END = re.compile(r"-->|</(?:script|pre|style|textarea)>", re.IGNORECASE)
_RAW_HTML = re.compile(r" {0,3}<(?:!--|(?:script|pre|style|textarea)(?=[\s>]|$))", re.IGNORECASE)
_FRONT_MATTER = re.compile(r"\ufeff?---[ \t]*\r?\n(?:.*\n)*?(?:---|\.\.\.)[ \t]*(?:\r?\n|$)")


@dataclass(slots=True)
class Block:
    """A block with the blank lines behind it."""

    kind: str  # "heading", "fence", "table", "list", "html", "paragraph" or "front matter"
    start: int  # characters
    end: int
    level: int = 0  # of a heading, 1 to 6
    title: str = ""  # of a heading


def read_blocks(text: str) -> Iterator[Block]:
    """Give the blocks of a Markdown text; they follow each other without a gap."""
    reader = _Reader()
    start = 0
    front = _FRONT_MATTER.match(text)
    if front:
        yield Block("front matter", 0, front.end())
        start = front.end()
    while start < len(text):
        newline = text.find("\n", start)
        end = len(text) if newline < 0 else newline + 1
        yield from reader.line(text[start:end].rstrip(), start, end)
        start = end
    if reader.block:
        yield reader.block


class _Reader:
    """The block that is open, and what closes it."""

    def __init__(self) -> None:
        self.block: Block | None = None
        self.fence = ""  # the open fence's marks
        self.raw_html = False
        self.after_blank = False
        self.last = ("", 0)  # the paragraph's last line, and where it starts
        self.title: list[str] = []  # the paragraph's lines, which may turn out to be a heading

    def line(self, line: str, start: int, end: int) -> Iterator[Block]:
        """Take one line, without its trailing white space; give the blocks that it closes."""
        block = self.block
        if block and (self.fence or self.raw_html):
            self._close_verbatim(line)
            block.end = end
        elif not line:
            if block:
                block.end = end
            self.after_blank = True
        else:
            if block is None or not self._continue(block, line, end):
                yield from self._open(line, start, end)
            self.after_blank = False
            self.last = (line, start)

    def _close_verbatim(self, line: str) -> None:
        if self.raw_html:
            self.raw_html = not _RAW_HTML_END.search(line)
        elif line.strip().startswith(self.fence) and not line.strip().strip(self.fence[0]):
            self.fence = ""

    def _continue(self, block: Block, line: str, end: int) -> bool:
        """Extend the open block by a line where it belongs to it."""
        if block.kind == "list":
            belongs = self._in_list(line)
        elif self.after_blank or block.kind in ("fence", "heading"):
            return False
        elif block.kind == "paragraph":
            return self._in_paragraph(block, line, end)
        else:
            belongs = not (_HEADING.match(line) or _FENCE.match(line))
        if belongs:
            block.end = end
        return belongs

    def _in_list(self, line: str) -> bool:
        indented = line[0] == "\t" or line.startswith("  ")
        fence = _FENCE.match(line)
        if fence and indented:
            self.fence = fence[1]
            return True
        if indented or _ITEM.match(line):
            return True
        return not (self.after_blank or fence or _HEADING.match(line))

    def _in_paragraph(self, block: Block, line: str, end: int) -> bool:
        if _UNDERLINE.match(line):
            block.kind, block.level = "heading", 1 if "=" in line else 2
            block.title, block.end = _title(" ".join(self.title)), end
            return True
        if "|" in self.last[0] and "|" in line and _TABLE_RULE.match(line):
            if len(self.title) > 1:
                return False
            block.kind, block.end = "table", end
            return True
        if _HEADING.match(line) or _FENCE.match(line) or _ITEM.match(line) or _HTML.match(line):
            return False
        self.title.append(line.strip())
        block.end = end
        return True

    def _open(self, line: str, start: int, end: int) -> Iterator[Block]:
        closed = self.block
        header = self._table_header(closed, line)
        if header is not None and closed:
            closed.end = header
            start = header
        if closed:
            yield closed
        self.block = Block("table", start, end) if header is not None else self._begin(line, start, end)

    def _table_header(self, closed: Block | None, line: str) -> int | None:
        """Where a table starts whose rule is this line and whose header ended a paragraph."""
        if closed and closed.kind == "paragraph" and not self.after_blank and "|" in self.last[0]:
            return self.last[1] if "|" in line and _TABLE_RULE.match(line) else None
        return None

    def _begin(self, line: str, start: int, end: int) -> Block:
        if heading := _HEADING.match(line):
            level = len(heading[1])
            return Block("heading", start, end, level, _title(line[heading.end() :]))
        if fence := _FENCE.match(line):
            self.fence = fence[1]
            return Block("fence", start, end)
        if _ITEM.match(line):
            return Block("list", start, end)
        if _HTML.match(line):
            self.raw_html = bool(_RAW_HTML.match(line)) and not _RAW_HTML_END.search(line)
            return Block("html", start, end)
        self.title = [line.strip()]
        return Block("paragraph", start, end)


def _title(line: str) -> str:
    title = line.strip()
    unclosed = title.rstrip("#")
    if unclosed != title and (not unclosed or unclosed[-1] in " \t"):
        title = unclosed.rstrip()
    return _HEADING_ID.sub("", title)
