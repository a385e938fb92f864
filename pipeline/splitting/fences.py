"""Where fences and raw HTML end, by CommonMark's rules."""

import re
from functools import lru_cache

_FENCE = re.compile(
    r"\ufeff?((?:[ \t]|>|[-*+][ \t]|[0-9]{1,9}[.)][ \t])*+)(`{3,}+(?=[^`\n]*+(?:\n|\Z))|~{3,}+)"
)
# Groups, each of what its own pattern closes.
_RAW_HTML = re.compile(
    r"<(?:((?:script|pre|style|textarea)(?=[ \t>\n]|\Z))|(!--)|(\?)|(!\[CDATA\[)|(![a-z]))", re.IGNORECASE
)
_RAW_HTML_END = [
    re.compile(end, re.IGNORECASE)
    for end in ("</(?:script|pre|style|textarea)>", "-->", r"\?>", r"\]\]>", ">")
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
    found = _ending(marks[0], len(marks), column, ">" in before).search(scan, behind - 1)
    if found is None:
        return len(scan)
    return line_end(scan, found.end()) if found[1] else found.start() + 1


def raw_html_end(scan: str, first: int) -> int:
    """Where raw HTML ends, with its line, that begins at `first`; 0 where there is none."""
    opening = _RAW_HTML.match(scan, first)
    if opening is None:
        return 0
    found = _RAW_HTML_END[(opening.lastindex or 1) - 1].search(scan, first + 1)
    return line_end(scan, found.end()) if found else len(scan)


def line_end(scan: str, at: int) -> int:
    """Where the line ends that holds `at`, its line feed included."""
    return scan.find("\n", at) + 1 or len(scan)


@lru_cache(maxsize=64)
def _ending(mark: str, length: int, column: int, quoted: bool) -> re.Pattern[str]:
    """A fence's closing line, or the first line that is not of its quote or of its list item.

    An item's lines are indented to the column of its content, or blank.
    """
    indent, other = " {0,3}", ""
    if quoted:
        indent, other = r"[ \t>]*+", "|(?! {0,3}>)"
    elif column:
        indent, other = r"[ \t]*+", rf"|(?! {{{column}}}| {{0,{column - 1}}}\t)(?=[ \t]*+[^\s])"
    closing = rf"{indent}({re.escape(mark)}{{{length},}})[ \t]*+(?=\n|\Z)"
    return re.compile(f"\n(?:{closing}{other})")
