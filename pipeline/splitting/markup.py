"""Reads HTML as far as splitting needs it: what people see of it, and its blocks, headings and tables.

Tags are read as the HTML standard's tokenizer reads them, broken ones too, in one pass that never goes
back. Elements are not put into a tree: splitting asks only where they begin and end. Where browsers
would swallow text, behind a tag that no `>` closes, it is kept.
"""

import html
import re
from array import array
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from pipeline.splitting.elements import (
    BLOCKS,
    BOXES,
    HEADINGS,
    NOT_DRAWN,
    RAW,
    ROWS,
    SHOWN_RAW,
    UNSEEN,
    WHOLE,
    Element,
    is_space,
)
from pipeline.splitting.prose import plain_lines, tied
from pipeline.splitting.structure import Heading, Whole, shortened

_ATTRIBUTES = (
    r"(?:[ \t\n\f\r/]++|[^ \t\n\f\r/>][^ \t\n\f\r/>=]*+(?:[ \t\n\f\r]*+=[ \t\n\f\r]*+"
    r"(?:\"[^\"]*+\"|'[^']*+'|[^ \t\n\f\r\"'>][^ \t\n\f\r>]*+)?+)?+)*+"
)
# Groups: the slash of a closing tag, a tag's name; a comment; an entity.
_MARKUP = re.compile(
    rf"<(?:(/?)([a-zA-Z][^ \t\n\f\r/>]*+){_ATTRIBUTES}>?+"
    r"|(!--(?:-?>|(?:[^-]++|-(?!-!?>))*+(?:--!?>)?+))"
    r"|[!?/][^>]*+>?+)"
    r"|(&(?:#(?:[0-9]{1,7}|[xX][0-9a-fA-F]{1,6})|[a-zA-Z][a-zA-Z0-9]{1,31});)"
)
_JOINED_AT_ONCE = 8192  # pieces: each is an object, and a page has many

Ints: TypeAlias = "array[int]"  # not subscriptable at run time
Fits = Callable[[int, int], bool]


class Page(NamedTuple):
    """What a page is made of; all positions are in order."""

    scan: str  # as long as the text: kept tags are brackets, what nobody sees is white space
    headings: list[Heading]
    titles: dict[int, str]  # the words of the heading that starts at a position
    wholes: list[Whole]
    blocks: Ints  # where a block, a row or a cell ends and the next begins
    rows: Ints  # those at rows and items
    seen: Ints  # where what people see starts, ends, starts again, …


def read_page(text: str, fits: Fits, longest: int) -> Page:
    """The structure of HTML; `fits` tells whether a stretch fits into a chunk.

    A table or a list that does not fit gives way to those within it, unless it has a header to repeat.
    A tag of more than `longest` characters counts as what nobody sees.
    """
    reader = _Reader(text, fits, longest)
    reader.read()
    return reader.page()


class _Title(NamedTuple):
    """A heading that is being read."""

    start: int
    level: int
    words: int
    pieces: list[str]  # what people see of it so far; the first is no white space


class _Reader:
    """Goes from one tag to the next."""

    def __init__(self, text: str, fits: Fits, longest: int) -> None:
        self._text = text
        self._plain = plain_lines(text)
        self._fits = fits
        self._longest = longest
        self._at = 0  # what is before this is in the pieces
        self._pieces: list[str] = []
        self._joined: list[str] = []
        self._unseen = ""  # the element that nobody sees
        self._inside: Counter[str] = Counter()  # what is open in it, itself included
        self._cut, self._row, self._begun = -1, False, False  # where the blocks around here can be parted
        self._title: _Title | None = None
        self._title_end: tuple[int, int] | None = None  # where it ends if nothing closes it, and its pieces
        self._open: list[Element] = []
        self._opened: dict[str, int] = {}  # how many of a name are open
        self._headings: list[Heading] = []
        self._titles: dict[int, str] = {}
        self._wholes: list[Whole] = []
        self._blocks, self._rows, self._seen = array("q"), array("q"), array("q")

    def read(self) -> None:
        """Read all of the text."""
        at: int | None = 0
        while at is not None:
            at = self._read_on(at)
        end = len(self._text)
        if self._unseen:
            self._fill(self._at, end, " ")
        self._pass(end)
        self._end_title(end)
        while self._open:
            self._close(end)

    def page(self) -> Page:
        """What was read."""
        scan = "".join([*self._joined, *self._pieces])
        return Page(scan, self._headings, self._titles, self._wholes, self._blocks, self._rows, self._seen)

    def _read_on(self, at: int) -> int | None:
        """Read on until something is passed that holds no markup; gives where to go on from there."""
        text = self._plain
        for match in _MARKUP.finditer(text, at):
            start, end = match.span()
            kind = match.lastindex
            if kind != 3 and kind != 4 and text[end - 1] != ">":
                return None  # nothing closes it: from here on there is no markup
            if self._unseen and (kind != 2 or not self._shows(match, start, end)):
                continue
            self._pass(start)
            if kind == 2:
                name = match[2].lower()
                self._tag(name, bool(match[1]), start, end)
                if name in RAW and not match[1]:
                    return self._raw(name, end)
            elif kind == 4 and not is_space(match[4]):
                self._see(start, end)
                self._fill(start, end, "x")
            else:
                self._fill(start, end, " ")
        return None

    def _shows(self, match: re.Match[str], start: int, end: int) -> bool:
        """Whether a tag within what nobody sees is no part of it, and ends it."""
        name, closing, inside = match[2].lower(), bool(match[1]), self._inside
        if self._unseen == "svg" and (
            (not closing and name in NOT_DRAWN) or (closing and (not inside[name] or name in ("p", "br")))
        ):
            self._unseen = ""
            self._fill(self._at, start, " ")
            return True
        if closing and inside[name]:
            inside[name] -= 1
        elif not (closing or (self._unseen == "svg" and match[0].endswith("/>"))):
            inside[name] += 1
        if not inside[self._unseen]:
            self._unseen = ""
            self._fill(self._at, end, " ")
        return False

    def _raw(self, name: str, start: int) -> int:
        """Pass what stands up to an element's closing tag, which is no markup."""
        closing = RAW[name].search(self._plain, start)
        end = closing.start() if closing else len(self._plain)
        if name in SHOWN_RAW:
            self._pass(end)
        else:
            self._fill(self._at, end, " ")
        return end

    def _tag(self, name: str, closing: bool, start: int, end: int) -> None:
        if name in UNSEEN and not closing and not self._text.endswith("/>", start, end):
            self._unseen, self._inside = name, Counter((name,))
            return
        if name in RAW and name not in SHOWN_RAW and not closing:
            return
        bracket = ")" if closing else "("
        if (name in BLOCKS or name in BOXES) and not self._tied(start, end):
            self._block(name, closing, start, end)
            bracket = bracket if name in BLOCKS else " "
        elif name in UNSEEN or (name in RAW and name not in SHOWN_RAW):
            bracket = " "
        elif name == "br" and not self._tied(start, end):
            self._pause()
            self._fill(start, end - 1, " ")
            self._fill(end - 1, end, "\n")
            return
        self._fill(start, end, bracket if end - start <= self._longest else " ")

    def _block(self, name: str, closing: bool, start: int, end: int) -> None:
        """Take a block's tag: between what is seen before and behind, blocks part at one place only."""
        self._row = self._row or name in ROWS
        if not self._begun:
            self._cut = end if closing or name in BOXES else start
            self._begun = not closing and name in BLOCKS
        if self._open:
            self._open[-1].tag(name, closing, start, end)
        if name in HEADINGS:
            self._heading(HEADINGS[name], closing, start, end)
            return
        if self._title and self._title_end is None and self._title.pieces:
            self._title_end = (end if closing else start, len(self._title.pieces))
        self._pause()
        if name in WHOLE and not closing:
            self._open.append(Element(name, start))
            self._opened[name] = self._opened.get(name, 0) + 1
        elif name in WHOLE and self._opened.get(name):
            while self._open[-1].name != name:
                self._close(start)
            self._close(end)

    def _heading(self, level: int, closing: bool, start: int, end: int) -> None:
        if not closing:
            self._end_title(start)
            self._title = _Title(start, level, end, [])
        elif self._title:
            self._title_end = None
            self._end_title(end)

    def _close(self, end: int) -> None:
        """Close the innermost element that is to be kept whole. No chunk reaches over a heading in it."""
        element = self._open.pop()
        self._opened[element.name] -= 1
        if self._headings_reach(element.start):
            return
        header = element.header(self._plain) if element.name == "table" else ""
        holds = self._wholes and self._wholes[-1][0] > element.start
        if header or not holds or self._fits(element.start, end):
            while self._wholes and self._wholes[-1][0] > element.start:
                self._wholes.pop()
            self._wholes.append((element.start, end, header))

    def _headings_reach(self, start: int) -> bool:
        last = self._title.start if self._title else self._headings[-1][0] if self._headings else -1
        return last > start

    def _end_title(self, end: int) -> None:
        """End the heading that is being read, or where the first block in it began or ended."""
        if self._title is None:
            return
        start, level, words, pieces = self._title
        if self._title_end:
            end, count = self._title_end
            pieces = pieces[:count]
        # A chunk that a heading fills may as well end in it.
        self._headings.append((start, end if end - start <= self._longest else words, level, words))
        self._titles[start] = shortened(" ".join(html.unescape("".join(pieces)).split()))
        self._title = self._title_end = None

    def _pause(self) -> None:
        """Take white space that people see as some."""
        if self._title and self._title.pieces:
            self._title.pieces.append(" ")

    def _pass(self, end: int) -> None:
        """Pass what is no markup."""
        start = self._at
        if start < end:
            piece = self._plain[start:end]
            self._pieces.append(piece)
            self._at = end
            if not piece.isspace():
                self._see(start, end)
            else:
                self._pause()

    def _see(self, start: int, end: int) -> None:
        """Take what people see: before it blocks can be parted."""
        if self._seen and self._seen[-1] == start:
            self._seen[-1] = end
        else:
            self._seen.extend((start, end))
        if self._title:
            self._title.pieces.append(self._plain[start:end])
        if self._cut >= 0:
            self._blocks.append(self._cut)
            if self._row:
                self._rows.append(self._cut)
            self._cut, self._row, self._begun = -1, False, False

    def _fill(self, start: int, end: int, mark: str) -> None:
        """Put a mark for each character of some markup; white space does not part a grapheme."""
        pieces = self._pieces
        if mark == " " and self._tied(start, end):
            mark = "("
        pieces.append(mark * (end - start))
        self._at = end
        if len(pieces) > _JOINED_AT_ONCE:
            self._joined.append("".join(pieces))
            pieces.clear()

    def _tied(self, start: int, end: int) -> bool:
        """Whether some markup is part of a grapheme that goes on before it or behind."""
        text = self._text
        if (text[start - 1 : start] + text[end - 1 : end + 1]).isascii():
            return False  # most markup
        return tied(text, start) or tied(text, end)
