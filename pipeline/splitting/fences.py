"""Where fences and raw HTML end, by CommonMark's rules."""

import re
from functools import lru_cache

_FENCE = re.compile(r"\ufeff?((?:[ \t]|>|[-*+][ \t]|\d{1,9}[.)][ \t])*+)(`{3,}+(?=[^`\n]*+(?:\n|\Z))|~{3,}+)")
_NO_QUOTE = re.compile(r"^(?! {0,3}>)", re.MULTILINE)
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


def fence_at(scan: str, start: int) -> tuple[str, str] | None:
    """What is before a fence's marks on the line that begins at `start`, and the marks; None for no fence."""
    found = _FENCE.match(scan, start)
    return (found[1], found[2]) if found else None


def fence_end(scan: str, behind: int, before: str, marks: str, column: int) -> int:
    """Where a fence ends whose first line ends at `behind`; its closing line belongs to it.

    `column` is where the content of the list item begins that holds it, 0 where none does: it ends with
    the item, or with the quote, at the latest.
    """
    limit = len(scan)
    if ">" in before:
        limit = _first(_NO_QUOTE, scan, behind, limit)
    elif column:
        limit = _first(_outdented(column), scan, behind, limit)
    contained = bool(column) or ">" in before
    close = _closing(marks[0], len(marks), contained).search(scan, behind - 1, limit)
    return line_end(scan, close.end()) if close else limit


def raw_html_end(scan: str, first: int) -> int:
    """Where raw HTML ends, with its line, that begins at `first`; 0 where there is none."""
    closing = next((close for open_, close in _RAW_HTML if open_.match(scan, first)), None)
    if closing is None:
        return 0
    found = closing.search(scan, first + 1)
    return line_end(scan, found.end()) if found else len(scan)


def line_end(scan: str, at: int) -> int:
    """Where the line ends that holds `at`, its line feed included."""
    return scan.find("\n", at) + 1 or len(scan)


def _first(pattern: re.Pattern[str], scan: str, at: int, end: int) -> int:
    found = pattern.search(scan, at, end)
    return found.start() if found else end


@lru_cache(maxsize=64)
def _outdented(column: int) -> re.Pattern[str]:
    """A line that is indented less than a list item's content, and not blank."""
    return re.compile(rf"^(?! {{{column}}}| {{0,{column - 1}}}\t)(?=[ \t]*+[^\s])", re.MULTILINE)


@lru_cache(maxsize=64)
def _closing(mark: str, length: int, contained: bool) -> re.Pattern[str]:
    indent = r"[ \t>]*+" if contained else " {0,3}"
    return re.compile(rf"\n{indent}{re.escape(mark)}{{{length},}}[ \t]*+(?=\n|\Z)")
