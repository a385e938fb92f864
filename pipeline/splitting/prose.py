"""Where text may be cut: boundaries by strength, for prose, for lines, for sentences, and for no such thing.

A boundary lies behind the white space that ends a piece. All functions look at a text whose line ends
are line feeds (`plain_lines`), and give positions that hold for the original.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import regex

_PADDED_BLANK_LINE = re.compile(r"\n[ \t]++\n")
_ITEM = re.compile(r"\n(?=[ \t]*+(?:[-*+]|\d{1,9}[.)])[ \t])")
# Japanese marks need no space behind them; the full-width full stop can stand in a number. A small
# letter behind a full stop tells an abbreviation from an end.
_SENTENCE = re.compile(
    r"[.!?。！？｡．](?:(?<![.!?][.!?])(?<=[.!?])[.!?]*+[\"'”’)\]]*+\s++(?![a-z])"
    r"|(?<=[。！？｡．])(?<!．(?=[0-9０-９]))[。！？｡．]*+[」』）〉》】〕］｝”’)\]]*+\s*+)"
)
_CLAUSE = re.compile(r"[,;:、，；：–—-](?:(?<=[,;:])\s++|(?<=[、，；：])\s*+|(?<= [–—-])\s++)")
_SPACE = re.compile(r"\s++")
# Japanese has no spaces: most phrases end in hiragana, and begin with another script.
_PHRASE = re.compile(r"[ぁ-ゟ](?=[㐀-䶿一-鿿ァ-ヺｦ-ﾝ「『（〈《【〔“])")

# What belongs to the character before it: no boundary lies in front of it.
_JOINED = regex.compile(r"[\p{GCB=Extend}\p{GCB=SpacingMark}\p{GCB=ZWJ}]")
# A flag is two regional indicators. \X alone would count back through all before each of them.
_CHARACTER = regex.compile(rf"\p{{Regional_Indicator}}{{2}}{_JOINED.pattern}*+|\X")
# Between two of these every position is a boundary of graphemes.
_SIMPLE = re.compile(r"[\x20-\x7e、-〕ぁ-ゖァ-ヺ㐀-䶿一-鿿！-～][\x20-\x7e、-〕ぁ-ゖァ-ヺ㐀-䶿一-鿿！-～]")


def plain_lines(text: str) -> str:
    """A text of the same length whose lines end in line feeds: a carriage return before one is a space."""
    return text.replace("\r\n", " \n").replace("\r", "\n") if "\r" in text else text


def skip_space(scan: str, start: int, end: int) -> int:
    """Where the first character that is no white space stands, at or behind `start`."""
    if start < end and not scan[start].isspace():
        return start
    space = _SPACE.match(scan, start, end)
    return space.end() if space else start


def grapheme_boundary(text: str, start: int, at: int, end: int) -> int:
    """The last boundary of graphemes in (start, at], or the end of the one that begins at `start`."""
    if at <= start:
        first = _CHARACTER.match(text, start, end)
        return first.end() if first else end
    if at >= end or (at - 1 > start and _SIMPLE.match(text, at - 1, at + 1)):
        return min(at, end)
    safe = at - 1
    while safe > start and not _SIMPLE.match(text, safe - 1, safe + 1):
        safe -= 1
    boundary = safe
    for match in _CHARACTER.finditer(text, safe, end):
        if match.end() > at:
            return boundary if boundary > start else match.end()
        boundary = match.end()
    return boundary


def next_grapheme(text: str, start: int, at: int, end: int) -> int:
    """The first boundary of graphemes in [at, end); 0 where there is none."""
    before = grapheme_boundary(text, start, at, end)
    match = _CHARACTER.match(text, before) if before < at else None
    found = match.end() if match else before
    return found if found < end else 0


def _last(pattern: re.Pattern[str], scan: str, low: int, high: int) -> int:
    """The end of the last match that begins in [low, high) and ends there; 0 where there is none.

    Looks at the last quarter first: what is wanted is most often there.
    """
    found, late = 0, high - (high - low) // 4
    for match in pattern.finditer(scan, late, high):
        found = match.end()
    if not found:
        for match in pattern.finditer(scan, low, high):
            found = match.end()
    if found and found < len(scan) and scan[found] >= "\u0300" and _JOINED.match(scan, found):
        return _last(pattern, scan, low, found - 1) if found - 1 > low else 0
    return found


@dataclass(frozen=True, slots=True)
class Style:
    """Boundaries by strength: those that end a thought, and those that only spare a word."""

    paragraphs: bool  # whether blank lines are the strongest
    strong: tuple[Callable[[str, int, int], int], ...]
    weak: tuple[Callable[[str, int, int], int], ...]

    def last(self, scan: str, low: int, middle: int, reach: int) -> int:
        """The boundary at which to end a chunk in (low, reach]; 0 where none is left but a grapheme's.

        The strongest in the second half; where only weak ones are there, a strong one in the first.
        """
        at = self.last_strong(scan, middle, reach)
        if not at and low < middle:
            at = self.last_strong(scan, low, middle)
        if at:
            return at
        for find in self.weak:
            at = find(scan, middle, reach) or find(scan, low, reach)
            if at > low:
                return at
        return 0

    def last_strong(self, scan: str, low: int, high: int) -> int:
        """The last of the strongest boundaries in (low, high] that end a thought; 0 where there is none."""
        for find in self.strong:
            at = find(scan, low, high)
            if at > low:
                return at
        return 0

    def first(self, scan: str, low: int, high: int) -> int:
        """The boundary in [low, high) at which a shared beginning starts: the first of the strongest; 0 if none."""
        for pattern in (_SENTENCE, _LINE_END, _CLAUSE, _SPACE):
            for match in pattern.finditer(scan, max(0, low - 1), high):
                if low <= match.end() < high:
                    return match.end()
        return 0


_LINE_END = re.compile(r"\n")


def _blank_line(scan: str, low: int, high: int) -> int:
    at = scan.rfind("\n\n", low, high)
    if at >= 0:
        return at + 2
    return _last(_PADDED_BLANK_LINE, scan, low, high)


def _item(scan: str, low: int, high: int) -> int:
    return _last(_ITEM, scan, low, high)


def _sentence(scan: str, low: int, high: int) -> int:
    return _last(_SENTENCE, scan, low, high)


def _line(scan: str, low: int, high: int) -> int:
    return scan.rfind("\n", low, high) + 1


def _clause(scan: str, low: int, high: int) -> int:
    return _last(_CLAUSE, scan, low, high)


def _word(scan: str, low: int, high: int) -> int:
    at = max(scan.rfind(" ", low, high), scan.rfind("\n", low, high)) + 1
    return at or _last(_SPACE, scan, low, high)


def _phrase(scan: str, low: int, high: int) -> int:
    return _last(_PHRASE, scan, low, high)


PROSE = Style(True, (_blank_line, _item, _sentence, _line), (_clause, _word, _phrase))
LINES = Style(True, (_blank_line, _line), (_sentence, _clause, _word, _phrase))
SENTENCES = Style(False, (_sentence, _line), (_clause, _word, _phrase))
FIXED = Style(False, (), ())
