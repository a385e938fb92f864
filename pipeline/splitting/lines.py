"""Reads Markdown line by line, where only its lines can tell what a heading or a fence belongs to.

Reading every line is slow, and seldom needed: `structure` asks for it where a line is indented, or may
underline a heading. Lines are read once, in order.
"""

import re

_LINE = re.compile(r"[^\n]*+\n|[^\n]++")
_ITEM = re.compile(r"( {0,3}(?:[-*+]|[0-9]{1,9}[.)]))( +|$)")
_RULE = re.compile(r" {0,3}(?:(?:\* *){3,}|(?:- *){3,}|(?:_ *){3,})$")
_QUOTE = re.compile(r" {0,3}>")
_HTML = re.compile(
    r" {0,3}</?(?:address|article|aside|base|basefont|blockquote|body|caption|center|col|colgroup|dd|details"
    r"|dialog|dir|div|dl|dt|fieldset|figcaption|figure|footer|form|frame|frameset|h[1-6]|head|header|hr|html"
    r"|iframe|legend|li|link|main|menu|menuitem|nav|noframes|ol|optgroup|option|p|param|search|section"
    r"|summary|table|tbody|td|tfoot|th|thead|title|tr|track|ul|script|pre|style|textarea)(?=[ />]|$)"
    r"| {0,3}<[!?]",
    re.IGNORECASE,
)
_TAG_ALONE = re.compile(r" {0,3}</?[A-Za-z][\w-]*+(?:[ /][^<>]*+)?>$")
# What ends a paragraph without a blank line: of lists, only bullets and a first number, and not empty.
_INTERRUPTION = re.compile(
    r" {0,3}(?:#{1,6}(?: |$)|`{3,}[^`]*$|~{3}|>|[-*+] |1[.)] )|" + _RULE.pattern,
)


class Lines:
    """What the line that was read last belongs to."""

    def __init__(self, scan: str, at: int) -> None:
        self._scan = scan
        self._at = at  # the first line that is not read yet
        self._blank = True  # whether a blank line, or nothing, is before it
        self.column = 0  # at which the content of the outermost list item begins; 0 outside of lists
        self.kind = ""  # of the open block outside of lists: "paragraph", "quote", "html", "code" or none
        self.start = at  # of the open paragraph

    def read_to(self, end: int) -> None:
        """Read all lines that begin before `end`."""
        self._restart(end)
        for match in _LINE.finditer(self._scan, self._at, max(end, self._at)):
            self._take(match.group().rstrip().expandtabs(4), match.start())
        self._at = max(end, self._at)

    def _restart(self, end: int) -> None:
        """Leave out what is before the last blank line with something at the left edge behind it."""
        at = self._scan.rfind("\n\n", self._at, end)
        while at >= 0:
            if self._scan[at + 2 : at + 3].strip():
                self.leave(at + 2)
                return
            at = self._scan.rfind("\n\n", self._at, at + 1)

    def leave(self, at: int) -> None:
        """Go on behind a block that is known, which ends the open ones."""
        self._at, self._blank, self.column, self.kind = at, True, 0, ""

    def skip(self, at: int) -> None:
        """Go on behind a block that is known, within the open list item."""
        self._at, self._blank = at, True

    def _take(self, line: str, start: int) -> None:
        if not line:
            self._blank = True
            if self.kind != "code":
                self.kind = ""
            return
        if not (self.column and self._in_list(line)):
            self.column = 0
            self._outside(line, start)
        self._blank = False

    def _in_list(self, line: str) -> bool:
        if _indent(line) >= self.column:
            return True
        item = None if _RULE.match(line) else _ITEM.match(line)
        if item:
            self.column = _content(item)
            return True
        # A line that is not indented can still go on with the item's paragraph.
        return not (self._blank or interrupts(line))

    def _outside(self, line: str, start: int) -> None:
        if self.kind == "code" and _indent(line) >= 4:
            return
        if self.kind in ("paragraph", "quote", "html") and not self._blank:
            if self.kind == "html" or not interrupts(line):
                return
            if self.kind == "quote" and _QUOTE.match(line):
                return
        self._begin(line, start)

    def _begin(self, line: str, start: int) -> None:
        self.kind, self.start = "", start
        if _RULE.match(line):
            return
        if item := _ITEM.match(line):
            self.column = _content(item)
        elif _QUOTE.match(line):
            self.kind = "quote"
        elif _HTML.match(line) or _TAG_ALONE.match(line):
            self.kind = "html"
        elif _indent(line) >= 4:
            self.kind = "code"
        else:
            self.kind = "paragraph"


def interrupts(line: str) -> bool:
    """Whether a line ends a paragraph without a blank line before it."""
    return _INTERRUPTION.match(line) is not None or ("<" in line[:4] and _HTML.match(line) is not None)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _content(item: re.Match[str]) -> int:
    """The column at which an item's content starts; what is indented further is code in it."""
    spaces = len(item[2])
    return len(item[1]) + (spaces if 1 <= spaces <= 4 else 1)
