"""Turns a file's bytes into text: UTF-8 as it stands, HTML as the text that it shows, if wanted."""

import re

from selectolax.lexbor import LexborHTMLParser

from pipeline.errors import InputError

_HTML = (".html", ".htm")
_NOT_SHOWN = ["script", "style", "noscript", "template", "svg", "head"]
_BLOCKS = (
    "p,div,section,article,main,header,footer,nav,aside,address,form,fieldset,legend,details,summary,"
    "ul,ol,li,dl,dt,dd,table,caption,tr,blockquote,figure,figcaption,pre,option,hr"
)
_CELLS = "td,th"
_BLANK_LINES = re.compile(r"\n\s*\n")
_BOM = "\ufeff"
_BOMS_OF_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
# Tab, line feed, vertical tab, form feed, carriage return and escape occur in text.
_CONTROLS = bytes(c for c in range(32) if c not in (9, 10, 11, 12, 13, 27))


def extract(data: bytes, name: str, *, markup: bool = False) -> str:
    """Read a file's text by its name's ending; with `markup`, HTML stays as it stands.

    Raises InputError, saying why, for what is no UTF-8 text.
    """
    text = _decode(data)
    return _shown(text) if name.lower().endswith(_HTML) and not markup else text


def _decode(data: bytes) -> str:
    other = "UTF-16" if data.startswith(_BOMS_OF_UTF_16) else "SHIFT_JIS"
    if other != "UTF-16" and _looks_binary(data):
        raise InputError("is a binary file, not text")
    try:
        return data.decode("utf-8").removeprefix(_BOM)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"is not UTF-8: byte {error.start} (line {line}) is 0x{data[error.start]:02x}; "
            f"convert it, for example with iconv -f {other} -t UTF-8"
        ) from None


def _looks_binary(data: bytes) -> bool:
    head = data[:65536]
    return bool(head) and len(head) - len(head.translate(None, _CONTROLS)) > len(head) * 0.05


def _shown(html: str) -> str:
    """The text that a page shows; headings become Markdown's, blocks stand on lines of their own."""
    tree = LexborHTMLParser(html)
    tree.strip_tags(_NOT_SHOWN, recursive=True)
    for heading in reversed(tree.css("h1,h2,h3,h4,h5,h6")):  # one that was never closed holds the next
        title, level = " ".join(heading.text().split()), int(str(heading.tag)[1])
        heading.replace_with(f"\n\n{'#' * level} {title}\n\n" if title else "\n")
    for block in tree.css(_BLOCKS):
        block.insert_before("\n")
        block.insert_after("\n")
    for cell in tree.css(_CELLS):
        cell.insert_after(" ")
    for line_break in tree.css("br"):
        line_break.replace_with("\n")
    return _BLANK_LINES.sub("\n\n", tree.body.text() if tree.body else "").strip()
