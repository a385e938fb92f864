"""Reads the block structure of Markdown: headings, fences, tables, lists, in one pass over lines.

It follows CommonMark 0.31 and GitHub's tables as far as splitting needs it: where blocks begin
and end, and what the headings say. Inline markup is left alone. It departs from them where writers
do: a heading or a fence ends an HTML block even without a blank line before it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

# Patterns are matched against lines whose tabs are expanded and whose trailing white space is gone.
_LINE = re.compile(r"[^\r\n]*+(?:\r\n?|\n)|[^\r\n]++")
_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})")
_FENCE_IN_ITEM = re.compile(r" *(?:(?:[-*+]|\d{1,9}[.)]) +)*(`{3,}(?=[^`]*$)|~{3,})")
_HEADING = re.compile(r" {0,3}(#{1,6})(?: |$)")
_HEADING_ID = re.compile(r"\{:? *[#.][^{}]*\}$")
_UNDERLINE = re.compile(r" {0,3}(?:=+|-+)$")
_RULE = re.compile(r" {0,3}(?:(?:\* *){3,}|(?:- *){3,}|(?:_ *){3,})$")
_ITEM = re.compile(r"( {0,3}(?:[-*+]|\d{1,9}[.)]))( +|$)")
_QUOTE = re.compile(r" {0,3}>")
_TABLE_RULE = re.compile(r" {0,3}\|? *:?-+:? *(?:\| *:?-+:? *)*\|?$")
_RAW_HTML = [
    (re.compile(rf" {{0,3}}<{start}", re.IGNORECASE), re.compile(end, re.IGNORECASE))
    for start, end in (
        (r"(?:script|pre|style|textarea)(?=[ >]|$)", "</(?:script|pre|style|textarea)>"),
        ("!--", "-->"),
        (r"\?", r"\?>"),
        (r"!\[CDATA\[", r"\]\]>"),
        (r"![a-z]", ">"),
    )
]
_HTML = re.compile(
    r" {0,3}</?(?:address|article|aside|base|basefont|blockquote|body|caption|center|col|colgroup|dd|details"
    r"|dialog|dir|div|dl|dt|fieldset|figcaption|figure|footer|form|frame|frameset|h[1-6]|head|header|hr|html"
    r"|iframe|legend|li|link|main|menu|menuitem|nav|noframes|ol|optgroup|option|p|param|search|section"
    r"|summary|table|tbody|td|tfoot|th|thead|title|tr|track|ul)(?=[ />]|$)",
    re.IGNORECASE,
)
_TAG_ALONE = re.compile(r" {0,3}</?[A-Za-z][\w-]*(?:[ /][^<>]*)?>$")
# What ends a paragraph without a blank line: of lists, only bullets and a first number, and not empty.
_INTERRUPTION = re.compile(
    r"(?= {0,3}[-*+#`~_>1])(?:"
    + "|".join((_HEADING.pattern, _FENCE.pattern, _RULE.pattern, _QUOTE.pattern, r" {0,3}(?:[-*+]|1[.)]) "))
    + ")"
)
_FRONT_MATTER = re.compile(r"\ufeff?---[ \t]*\r?\n(?=\S)")  # not a rule: its first line is not blank
_FRONT_MATTER_END = re.compile(r"^(?:---|\.\.\.)[ \t]*\r?(?:\n|\Z)", re.MULTILINE)

# A title is repeated for every section below it: this keeps a page-long one from growing quadratically.
_TITLE = 200  # characters


@dataclass(slots=True)
class Block:
    """A block with the blank lines behind it."""

    # "heading", "paragraph", "list", "table", "fence", "code", "quote", "html", "rule" or "front matter"
    kind: str
    start: int  # characters
    end: int
    level: int = 0  # of a heading, 1 to 6
    title: str = ""  # of a heading


def read_blocks(text: str) -> Iterator[Block]:
    """Give the blocks of a Markdown text; they follow each other without a gap."""
    reader = _Reader()
    start = _front_matter(text)
    if start:
        yield Block("front matter", 0, start)
    for match in _LINE.finditer(text, start):
        line = match.group().rstrip().expandtabs(4)
        yield from reader.line(line if match.start() else line.lstrip("\ufeff"), *match.span())
    if reader.block:
        yield reader.block


def _front_matter(text: str) -> int:
    """Where the front matter ends; 0 where there is none."""
    start = _FRONT_MATTER.match(text)
    end = _FRONT_MATTER_END.search(text, start.end()) if start else None
    return end.end() if end else 0


class _Reader:
    """The block that is open, and what closes it."""

    def __init__(self) -> None:
        self.block: Block | None = None
        self.closed = False  # whether nothing but blank lines may join the block
        self.fence = ""  # the open fence's marks
        self.raw_html_end: re.Pattern[str] | None = None  # of the open raw HTML
        self.after_blank = False
        self.last = ("", 0)  # the paragraph's last line, and where it starts
        self.title: list[str] = []  # the paragraph's lines, which may turn out to be a heading
        self.content = 0  # the column from which a line belongs to the open list item

    def line(self, line: str, start: int, end: int) -> Iterator[Block]:
        """Take one line, without its trailing white space; give the blocks that it closes."""
        block = self.block
        if block and self._in_verbatim(block, line):
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

    def _in_verbatim(self, block: Block, line: str) -> bool:
        """Whether a line belongs to the open fence or raw HTML, which it may close."""
        if self.raw_html_end:
            if self.raw_html_end.search(line):
                self.raw_html_end, self.closed = None, True
            return True
        if self.fence and block.kind == "list" and line and _indent(line) < self.content:
            self.fence, self.after_blank = "", True  # the item has ended, with no paragraph to go on with
        if not self.fence:
            return False
        mark = line.lstrip(" ")
        if mark.startswith(self.fence) and not mark.strip(self.fence[0]):
            in_list = block.kind == "list"
            if in_list or _indent(line) < 4:
                self.fence, self.closed = "", not in_list
        return True

    def _continue(self, block: Block, line: str, end: int) -> bool:
        """Extend the open block by a line where it belongs to it."""
        if self.closed:
            return False
        if block.kind == "list":
            belongs = self._in_list(line)
        elif block.kind == "code":
            belongs = _indent(line) >= 4
        elif self.after_blank:
            belongs = False
        elif block.kind == "paragraph":
            return self._in_paragraph(block, line, end)
        elif block.kind == "html":
            belongs = not (_HEADING.match(line) or _FENCE.match(line))
        else:
            belongs = bool(block.kind == "quote" and _QUOTE.match(line)) or not _interrupts(line)
        if belongs:
            block.end = end
        return belongs

    def _in_list(self, line: str) -> bool:
        if _indent(line) < self.content:
            item = None if _RULE.match(line) else _ITEM.match(line)
            if item is None:
                # A line that is not indented can still go on with the item's paragraph.
                return not (self.after_blank or _interrupts(line))
            self.content = _content(item)
        self._open_fence_in_item(line)
        return True

    def _in_paragraph(self, block: Block, line: str, end: int) -> bool:
        if _UNDERLINE.match(line):
            block.kind, block.level = "heading", 1 if "=" in line else 2
            block.title, block.end = _shortened(_without_id(" ".join(self.title))), end
            self.closed = True
            return True
        if "|" in self.last[0] and "|" in line and _TABLE_RULE.match(line):
            if len(self.title) > 1:
                return False
            block.kind, block.end = "table", end
            return True
        if _interrupts(line):
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
        self.closed = False
        self.block = Block("table", start, end) if header is not None else self._begin(line, start, end)

    def _table_header(self, closed: Block | None, line: str) -> int | None:
        """Where a table starts whose rule is this line and whose header ended a paragraph."""
        if closed and closed.kind == "paragraph" and not self.after_blank and "|" in self.last[0]:
            return self.last[1] if "|" in line and _TABLE_RULE.match(line) else None
        return None

    def _begin(self, line: str, start: int, end: int) -> Block:
        block = Block("paragraph", start, end)
        if heading := _HEADING.match(line):
            block.kind, block.level, self.closed = "heading", len(heading[1]), True
            block.title = _title(line[heading.end() :])
        elif fence := _FENCE.match(line):
            block.kind, self.fence = "fence", fence[1]
        elif _RULE.match(line):
            block.kind, self.closed = "rule", True
        elif item := _ITEM.match(line):
            block.kind, self.content = "list", _content(item)
            self._open_fence_in_item(line)
        elif _QUOTE.match(line):
            block.kind = "quote"
        elif end_of_raw := _raw_html(line):
            block.kind, self.closed = "html", bool(end_of_raw.search(line))
            self.raw_html_end = None if self.closed else end_of_raw
        elif _HTML.match(line) or _TAG_ALONE.match(line):
            block.kind = "html"
        elif _indent(line) >= 4:
            block.kind = "code"
        else:
            self.title = [line.strip()]
        return block

    def _open_fence_in_item(self, line: str) -> None:
        if fence := _FENCE_IN_ITEM.match(line):
            self.fence = fence[1]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _content(item: re.Match[str]) -> int:
    """The column at which an item's content starts; what is indented further is code in it."""
    spaces = len(item[2])
    return len(item[1]) + (spaces if 1 <= spaces <= 4 else 1)


def _interrupts(line: str) -> bool:
    if "<" in line[:4] and (_HTML.match(line) or _raw_html(line)):
        return True
    return _INTERRUPTION.match(line) is not None


def _raw_html(line: str) -> re.Pattern[str] | None:
    """What ends the raw HTML that a line opens."""
    return next((end for start, end in _RAW_HTML if start.match(line)), None)


def _title(line: str) -> str:
    """The words of a heading line, without closing hashes and without its id, in either order."""
    title = _without_id(line.strip())
    unclosed = title.rstrip("#")
    if unclosed != title and (not unclosed or unclosed[-1] == " "):
        title = _without_id(unclosed.rstrip())
    return _shortened(title)


def _without_id(title: str) -> str:
    found = _HEADING_ID.search(title)
    return title[: found.start()].rstrip() if found else title


def _shortened(title: str) -> str:
    return title if len(title) <= _TITLE else title[: _TITLE - 1] + "…"
