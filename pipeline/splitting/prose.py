"""Where text may be cut: boundaries by strength, for prose, for lines, for sentences, and for no such thing.

A boundary lies behind the white space that ends a piece. All functions look at a text whose line ends
are line feeds (`plain_lines`), and give positions that hold for the original.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import regex

_PADDED_BLANK_LINE = re.compile(r"\n[ \t]++\n")
_ITEM = re.compile(
    r"\n(?:[ \t]++\n|(?=[ \t]*+(?:[-*+]|\d{1,9}[.)])[ \t]))"
)  # or a blank line with blanks in it
# Japanese marks need no space behind them; the full-width full stop can stand in a number. A small
# letter behind a full stop tells an abbreviation from an end.
SENTENCE = re.compile(
    r"[.!?。！？｡．](?:(?<![.!?][.!?])(?<=[.!?])[.!?]*+[\"'”’)\]]*+\s++(?![a-z])"
    r"|(?<=[。！？｡．])(?<!．(?=[0-9０-９]))[。！？｡．]*+[」』）〉》】〕］｝”’)\]]*+\s*+)"
)
_CLAUSE = re.compile(r"[,;:、，；：–—-](?:(?<=[,;:])\s++|(?<=[、，；：])\s*+|(?<= [–—-])\s++)")
_PAUSE = re.compile(r"[\s、，；：]\s*+")
SPACE = re.compile(r"\s++")
_FEW_BLANKS = 3  # which are looked at sooner one by one
# Japanese has no spaces: most phrases end in hiragana, and begin with another script.
PHRASE = re.compile(r"[ぁ-ゟ](?=[㐀-䶿一-鿿ァ-ヺｦ-ﾝ「『（〈《【〔“])")

# What belongs to the character before it: no boundary lies in front of it.
_JOINED = regex.compile(r"[\p{GCB=Extend}\p{GCB=SpacingMark}\p{GCB=ZWJ}]")
_PREPENDED = regex.compile(r"\p{GCB=Prepend}")
# A flag is two regional indicators. \X alone would count back through all before each of them.
# Two halves of a character that UTF-16 would write as a pair are lone surrogates here, and no grapheme to \X.
_CHARACTER = regex.compile(
    rf"(?:\p{{Regional_Indicator}}{{2}}|[\ud800-\udbff][\udc00-\udfff]){_JOINED.pattern}*+|\X"
)
# What is nothing but a grapheme of its own, whatever is beside it, if that is such a character, too.
_PLAIN = re.compile(r"[\x20-\x7e、-〕ぁ-ゖァ-ヺ㐀-䶿一-鿿！-～]")
_SIMPLE = re.compile(_PLAIN.pattern * 2)


def plain_lines(text: str) -> str:
    """A text of the same length whose lines end in line feeds: a carriage return before one is a space."""
    return text.replace("\r\n", " \n").replace("\r", "\n") if "\r" in text else text


def skip_space(scan: str, start: int, end: int) -> int:
    """Where the first character that is no white space stands, at or behind `start`."""
    few = start + _FEW_BLANKS
    while start < end:
        if not scan[start].isspace():
            return start
        start += 1
        if start == few:
            space = SPACE.match(scan, start, end)
            return space.end() if space else start
    return start


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


def inside_grapheme(text: str, at: int) -> bool:
    """Whether what stands at a position belongs to the character before it."""
    if at >= len(text) or text[at] < "\u0300" or _PLAIN.match(text, at):
        return False
    return _JOINED.match(text, at) is not None


def tied(text: str, at: int) -> bool:
    """Whether what stands before and behind a position, or markup there, are parts of one grapheme."""
    before = text[at - 1 : at]
    return inside_grapheme(text, at) or (before >= "\u0600" and _PREPENDED.match(before) is not None)


_CLOSING = frozenset("」』）〉》】〕］｝”’)]")
_NUMBER = 16  # characters of an item's number and what indents it
_SHORT = 60  # characters that are looked through at once


def _last(pattern: re.Pattern[str], scan: str, low: int, high: int) -> int:
    """The end of the last match that begins in [low, high) and ends there; 0 where there is none.

    Looks at the last quarter first: what is wanted is most often there.
    """
    late = high - (high - low) // 4
    matches = [*pattern.finditer(scan, late, high)] if late > low + _SHORT else []
    matches = matches or [*pattern.finditer(scan, low, high)]
    for match in reversed(matches):
        at = match.end()
        # What closes a sentence can stand behind what is looked at.
        if inside_grapheme(scan, at) or (at >= high and scan[at : at + 1] in _CLOSING):
            continue
        if not _numbers_item(scan, match.start()):
            return at
    return 0


def _numbers_item(scan: str, at: int) -> bool:
    """Whether a full stop there ends the number of a list's item, and no sentence."""
    if not scan[at - 1 : at].isdigit():
        return False
    start = max(0, at - _NUMBER)
    return scan[max(start, scan.rfind("\n", start, at)) : at].strip().isdigit()


@dataclass(frozen=True, slots=True)
class Style:
    """Boundaries by strength: those that end a thought, and those that only spare a word."""

    late: int  # chunks end in so many last sixteenths of their windows, if anything strong is there
    paragraphs: bool  # whether blank lines are the strongest
    strong: Callable[[str, int, int], int]  # the last of the strongest in (low, high], 0 where there is none
    weak: tuple[Callable[[str, int, int], int], ...]
    within: "Style | None" = None  # how a whole is cut that does not fit; None: as LINES says
    even: bool = False  # whether the last two windows share evenly what is left, where little would be

    def last(self, scan: str, low: int, middle: int, reach: int) -> int:
        """The boundary at which to end a chunk in (low, reach]; 0 where none is left but a grapheme's.

        The strongest behind `middle`; where only weak ones are there, a strong one before it.
        """
        at = self.last_strong(scan, middle, reach) or (low < middle and self.last_strong(scan, low, reach))
        if at:
            return at
        for find in self.weak:
            at = find(scan, middle, reach) or find(scan, low, reach)
            if at > low:
                return at
        return 0

    def last_strong(self, scan: str, low: int, high: int) -> int:
        """The last of the strongest boundaries in (low, high] that end a thought; 0 where there is none."""
        at = self.strong(scan, low, high)
        return at if at > low else 0


def first_shared(scan: str, low: int, high: int) -> int:
    """Where in [low, high) what is shared starts: behind a sentence, or else a word; 0 for nowhere."""
    for pattern in (SENTENCE, _PAUSE):
        found = pattern.search(scan, low and low - 1, high)
        if found and low <= (at := found.end()) < high and not inside_grapheme(scan, at):
            return at
    return 0


def _in_prose(scan: str, low: int, high: int) -> int:
    """A blank line, an item, a sentence's end, a line's."""
    return _in_sections(scan, low, high) or _line(scan, low, high)


def _in_sections(scan: str, low: int, high: int) -> int:
    """A blank line, an item, a sentence's end."""
    line = scan.rfind("\n", low, high)
    if line >= 0:
        blank = scan.rfind("\n\n", low, high)
        while blank >= 0 and scan[blank + 2 : blank + 3] in (" ", "\t"):  # within an item of a list
            blank = scan.rfind("\n\n", low, blank + 1)
        if blank >= 0:
            return blank + 2
        item = line + 1 if _ITEM.match(scan, line) else _last(_ITEM, scan, low, line + 1)
        if item:
            return item
    return _sentence(scan, low, high)


def _in_sentences(scan: str, low: int, high: int) -> int:
    """A sentence's end, a line's."""
    return _sentence(scan, low, high) or _line(scan, low, high)


def _in_lines(scan: str, low: int, high: int) -> int:
    """A blank line, a line's end."""
    line = scan.rfind("\n", low, high)
    if line < 0:
        return 0
    blank = scan.rfind("\n\n", low, high)
    return blank + 2 if blank >= 0 else _last(_PADDED_BLANK_LINE, scan, low, high) or line + 1


def _nowhere(*_: object) -> int:
    return 0


def _sentence(scan: str, low: int, high: int) -> int:
    full_stop = scan.rfind("。", low, high)
    at = _last(SENTENCE, scan, full_stop, high) if full_stop >= 0 else 0
    return at or _last(SENTENCE, scan, low, high)


def _line(scan: str, low: int, high: int) -> int:
    return scan.rfind("\n", low, high) + 1


def _clause(scan: str, low: int, high: int) -> int:
    return _last(_CLAUSE, scan, low, high)


def _word(scan: str, low: int, high: int) -> int:
    at = max(scan.rfind(" ", low, high), scan.rfind("\n", low, high)) + 1
    return at or _last(SPACE, scan, low, high)


def _phrase(scan: str, low: int, high: int) -> int:
    return _last(PHRASE, scan, low, high)


_WEAK = (_clause, _word, _phrase)
PROSE = Style(10, True, _in_prose, _WEAK)
SECTIONS = Style(3, True, _in_sections, (_line, *_WEAK))  # fuller: their ends leave many short chunks
LINES = Style(8, True, _in_lines, (_in_sentences, *_WEAK))
SENTENCES = Style(8, False, _in_sentences, _WEAK)
FIXED = Style(8, False, _nowhere, (), even=True)  # a few words by themselves are found for nothing
