"""Turns a file's bytes into text: UTF-8 as it stands, HTML as the text that it shows."""

import re

from selectolax.lexbor import LexborHTMLParser

from pipeline.errors import InputError

_HTML = (".html", ".htm")
_NOT_SHOWN = ["script", "style", "noscript", "template", "svg", "head"]
_BLOCKS = (
    "p,div,section,article,main,header,footer,nav,aside,ul,ol,li,dl,dt,dd,"
    "table,tr,blockquote,figure,pre,br,hr"
)
_BLANK_LINES = re.compile(r"\n\s*\n")
# Tab, line feed, vertical tab, form feed, carriage return and escape occur in text.
_CONTROLS = bytes(c for c in range(32) if c not in (9, 10, 11, 12, 13, 27))


def extract(data: bytes, name: str) -> str:
    """Read a file's text by its name's ending.

    Raises InputError, saying why, for what is no UTF-8 text.
    """
    text = _decode(data)
    return _shown(text) if name.lower().endswith(_HTML) else text


def _decode(data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if _looks_binary(data):
            raise InputError("is a binary file, not text") from None
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"is not UTF-8: byte {error.start} (line {line}) is 0x{data[error.start]:02x}; "
            "convert it, for example with iconv -f SHIFT_JIS -t UTF-8"
        ) from None
    if _looks_binary(data):
        raise InputError("is a binary file, not text")
    return text


def _looks_binary(data: bytes) -> bool:
    head = data[:65536]
    return bool(head) and len(head) - len(head.translate(None, _CONTROLS)) > len(head) * 0.05


def _shown(html: str) -> str:
    """The text that a page shows; headings become Markdown's, blocks stand on lines of their own."""
    tree = LexborHTMLParser(html)
    tree.strip_tags(_NOT_SHOWN, recursive=True)
    for level in range(1, 7):
        for heading in tree.css(f"h{level}"):
            heading.replace_with(f"\n\n{'#' * level} {' '.join(heading.text().split())}\n\n")
    for block in tree.css(_BLOCKS):
        block.insert_before("\n")
        block.insert_after("\n")
    return _BLANK_LINES.sub("\n\n", tree.body.text() if tree.body else "").strip()
