"""The elements and entities of HTML, by what they mean for splitting.

An element that is not named here is part of a line.
"""

import html
import re
from dataclasses import dataclass
from functools import lru_cache

ROWS = frozenset(("tr", "li", "dt", "dd", "option"))
WHOLE = frozenset(("table", "ul", "ol", "dl", "pre", "textarea"))
HEADINGS = {f"h{level}": level for level in range(1, 7)}
# Blocks whose tags stay with what they hold; those of boxes are left out where a chunk begins or ends.
BLOCKS = frozenset((
    *ROWS, *WHOLE, *HEADINGS,
    "p", "thead", "tbody", "tfoot", "td", "th", "caption", "blockquote", "figcaption", "summary", "address",
    "legend", "dir", "menu", "listing", "xmp",
))  # fmt: skip
BOXES = frozenset((
    "html", "head", "meta", "link", "base", "body", "frameset", "div", "section", "article", "main", "header",
    "footer", "nav", "aside", "form", "fieldset", "figure", "center", "details", "dialog", "search", "hgroup",
    "hr", "colgroup", "col", "optgroup",
))  # fmt: skip
# What these hold is no markup, up to their closing tag; the last two show it.
RAW = {
    name: re.compile(rf"</{name}(?=[ \t\n\f\r/>])", re.IGNORECASE)
    for name in ("script", "style", "title", "noscript", "iframe", "noembed", "noframes", "textarea", "xmp")
}
SHOWN_RAW = frozenset(("textarea", "xmp"))
UNSEEN = frozenset(("svg", "template"))
# A drawing ends where one of these begins, closed or not.
NOT_DRAWN = frozenset((
    *HEADINGS, "b", "big", "blockquote", "body", "br", "center", "code", "dd", "div", "dl", "dt", "em",
    "embed", "font", "head", "hr", "i", "img", "li", "listing", "menu", "meta", "nobr", "ol", "p", "pre",
    "ruby", "s", "small", "span", "strong", "strike", "sub", "sup", "table", "tt", "u", "ul", "var",
))  # fmt: skip
_ENTITY = re.compile(r"&[#a-zA-Z0-9]{2,33};")


@dataclass(slots=True)
class Element:
    """An element that is to be kept whole, and its first row where it is a table."""

    name: str
    start: int
    row: int = -1  # where the header, or the first row, starts
    row_end: int = -1
    is_head: bool = False
    cells: frozenset[str] = frozenset()  # the names of its cells' tags

    def tag(self, name: str, closing: bool, start: int, end: int) -> None:
        """Take a tag of the table's own."""
        if self.row_end >= 0 or name not in ("thead", "tbody", "tr", "td", "th"):
            return
        if name in ("td", "th"):
            self.cells |= {name}
        elif self.row < 0:
            if not closing and name != "tbody":
                self.row, self.is_head = start, name == "thead"
        elif name != "tr" or not self.is_head:
            self.row_end = end if closing else start

    def header(self, text: str) -> str:
        """What names the table's columns, to be repeated; "" where nothing does."""
        named = self.row_end > 0 and (self.is_head or self.cells == {"th"})
        return text[self.row : self.row_end].strip() + "\n" if named else ""


@lru_cache(1024)
def is_space(entity: str) -> bool:
    """Whether an entity stands for white space."""
    return html.unescape(entity).isspace()


def within_entity(text: str, at: int) -> int:
    """Where the entity starts that a position is in; 0 where it is in none."""
    start = text.rfind("&", max(0, at - 34), at)
    entity = _ENTITY.match(text, start) if start >= 0 else None
    return start if entity and entity.end() > at else 0
