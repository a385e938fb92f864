"""Where chunks end, told from the text around it, and what their ends leave alone or break.

The yardstick is the same for every splitter, and knows nothing of how any of them cuts.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from pipeline.model import Chunk
from pipeline.splitting.markup import read_page
from pipeline.splitting.prose import plain_lines
from pipeline.splitting.structure import Heading, read_structure

LEVELS = ("section", "paragraph", "sentence", "line", "clause", "word", "inside_word")
"""What a chunk can end with, the strongest first."""

_SPACE = re.compile(r"\s*+")
_BLANK_LINE = re.compile(r"\n[^\S\n]*+\n")
_NEAR = 64  # characters before an end that are looked at
# Behind the mark quotes and brackets may close, and what closes emphasis or code in Markdown.
_SENTENCE = re.compile(r"""(?:(?:[.!?…]|([。！？｡．]))["'”’)\]」』）〉》】〕］｝*_`~]*+|\s\.)\Z""")
_CLAUSE = re.compile(r"(?:[,;:–—]|([、，；：]))\Z")
_PREFORMATTED = re.compile("<pre", re.IGNORECASE)
_WESTERN = re.compile(r"[0-9A-Za-zÀ-ʯ_]")


@dataclass(frozen=True, slots=True)
class Stretch:
    """A fence or a table, which is best kept whole. Of HTML, a fence is preformatted text."""

    kind: str  # "fence" or "table"
    start: int  # characters, white space around it left out
    end: int
    header: str = ""  # of a table, as it goes before the later pieces of a broken one


@dataclass(frozen=True, slots=True)
class Page:
    """A text as the yardstick sees it, read once for all splitters."""

    text: str
    scan: str  # as long; its lines end in line feeds, and HTML's tags are brackets or white space
    headings: Sequence[Heading] = ()
    stretches: Sequence[Stretch] = ()
    blocks: Sequence[int] = ()  # of HTML: where one block ends and the next begins

    @classmethod
    def of(cls, text: str, kind: str = "markdown") -> "Page":
        """Read a text, and the structure that its kind has: "markdown", "html" or any other."""
        if kind == "html":
            page = read_page(text, _never, len(text))
            found = (whole for whole in page.wholes if whole[2] or _PREFORMATTED.match(text, whole[0]))
            stretches = tuple(_stretch(page.scan, *whole) for whole in found)
            return cls(text, page.scan, page.headings, stretches, page.blocks)
        scan = plain_lines(text)
        if kind != "markdown":
            return cls(text, scan)
        structure = read_structure(scan)
        wholes = (_stretch(scan, *whole) for whole in structure.wholes)
        stretches = tuple(one for one in wholes if scan[one.start] != "<")  # raw HTML is not counted
        return cls(text, scan, structure.headings, stretches)

    def ends(self, chunks: Sequence[Chunk]) -> list[str]:
        """What each chunk ends with, one of LEVELS. What ends with the text ends with its section."""
        return [self._level(chunk, after) for chunk, after in zip_longest(chunks, chunks[1:]) if chunk]

    def alone(self, chunks: Sequence[Chunk]) -> int:
        """How many headings stand at the end of a chunk, without anything of what is under them."""
        starts, found = [chunk.start for chunk in chunks], 0
        for number, (start, behind, level, _) in enumerate(self.headings):
            end = start + len(self.scan[start:behind].rstrip())
            holder = bisect_right(starts, end - 1) - 1
            if holder >= 0 and chunks[holder].end == end and not self._is_empty(number, behind, level):
                found += 1
        return found

    def broken(self, chunks: Sequence[Chunk]) -> list[Stretch]:
        """The stretches that no chunk holds whole."""
        starts = [chunk.start for chunk in chunks]
        found = []
        for stretch in self.stretches:
            holder = bisect_right(starts, stretch.start) - 1
            if holder < 0 or chunks[holder].end < stretch.end:
                found.append(stretch)
        return found

    def _level(self, chunk: Chunk, following: Chunk | None) -> str:
        scan, end = self.scan, chunk.end
        space = _SPACE.match(scan, end)
        behind = space.end() if space else end
        if behind == len(scan) or following is None or self._heads(end, behind):
            return "section"
        if following.heading_path != chunk.heading_path:
            return "section"
        if _BLANK_LINE.search(scan, end, behind) or self._parts(end, behind):
            return "paragraph"
        before = scan[max(chunk.start, end - _NEAR) : end]
        if self._is_mark(_SENTENCE.search(before), end, behind) and (
            not scan[behind].islower() or before[-2:-1].isspace()
        ):
            return "sentence"
        if scan.find("\n", end, behind) >= 0:
            return "line"
        if self._is_mark(_CLAUSE.search(before), end, behind):
            return "clause"
        return "word" if behind > end or _words_meet(scan[end - 1], scan[end]) else "inside_word"

    def _heads(self, end: int, behind: int) -> bool:
        """Whether a heading begins behind the white space after an end."""
        number = bisect_right(self.headings, (behind, len(self.scan) + 1, 0, 0)) - 1
        return number >= 0 and self.headings[number][0] >= end

    def _parts(self, end: int, behind: int) -> bool:
        """Whether blocks part in the white space behind an end, or right there."""
        number = bisect_left(self.blocks, end)
        return number < len(self.blocks) and self.blocks[number] <= behind

    def _is_mark(self, found: re.Match[str] | None, end: int, behind: int) -> bool:
        """Whether a mark ends something: a full-width one unless a digit follows, others before space."""
        if found is None:
            return False
        return behind > end or bool(found[1] and not self.scan[behind].isdigit())

    def _is_empty(self, number: int, behind: int, level: int) -> bool:
        """Whether a heading has nothing under it: neither text nor a deeper heading."""
        space = _SPACE.match(self.scan, behind)
        if space is None or space.end() == len(self.scan):
            return True
        if number + 1 == len(self.headings):
            return False
        start, _, deeper, _ = self.headings[number + 1]
        return start <= space.end() and deeper <= level


def _never(*_: int) -> bool:
    """To a reader of HTML: of its tables and lists, only those with a header are to be kept whole."""
    return False


def _stretch(scan: str, start: int, end: int, header: str) -> Stretch:
    """What a splitter keeps whole, without the white space around it."""
    body = scan[start:end]
    first = start + len(body) - len(body.lstrip())
    return Stretch("table" if header else "fence", first, start + len(body.rstrip()), header)


def _words_meet(one: str, other: str) -> bool:
    """Whether two characters without a space between them belong to two words."""
    if not (_is_letter(one) and _is_letter(other)):
        return True
    if bool(_WESTERN.match(one)) != bool(_WESTERN.match(other)):
        return True
    return "ぁ" <= one <= "ゟ" and not "ぁ" <= other <= "ゟ"  # most phrases of Japanese end in hiragana


def _is_letter(character: str) -> bool:
    return character.isalnum() or character in "_ー々" or "\u0300" <= character <= "\u036f"
