"""What `vecmill split FILE` does: cuts one file, and shows its chunks."""

import sys
from pathlib import Path
from typing import Any

from flows import render, render_split
from flows.options import Cut
from flows.request import splitter_form
from infra.splitters import make_splitter
from pipeline.analysis.boundaries import Page
from pipeline.analysis.splitters import Tally
from pipeline.errors import InputError
from pipeline.model import Chunk, Document, Space
from pipeline.sources.extract import extract
from pipeline.tokens import counter_for

STDIN = "-"

_MARKDOWN = (".md", ".markdown", ".txt")
_HTML = (".html", ".htm")
_CODE = (".py",)


def show(file: str, cut: Cut, space: Space, *, full: bool, as_json: bool) -> None:
    """Cut one file, and show its chunks."""
    document = read_document(file)
    spec = splitter_form(cut, {"kind": usual_splitter(file)}).spec()
    chunks = make_splitter(spec, space).split(document.text)
    if as_json:
        render.json_document([_record(chunk, document.text) for chunk in chunks])
        return
    page, tally = page_of(document), Tally(spec, counter_for(space))
    tally.add(page, chunks)
    name = document.doc_id if file == STDIN else file
    shown = render_split.Shown(name, document.text, chunks, spec, space.name, page, tally)
    render_split.chunks(shown, full=full)


def read_document(file: str) -> Document:
    """The text of a file as it stands, of HTML too; raises InputError for what is no text."""
    if file == STDIN:
        return Document("standard input", STDIN, "", _text("standard input", sys.stdin.buffer.read()))
    path = Path(file)
    if path.is_dir():
        raise InputError(f"{file} is a folder; split shows one file, and --compare takes folders")
    try:
        if not (path.is_file() or path.is_fifo()):
            raise InputError(f"there is no file {file}")
        return Document(path.name, file, "", _text(file, path.read_bytes()))
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error


def usual_splitter(name: str) -> str:
    """The splitter that a file's name speaks for."""
    suffix = Path(name).suffix.lower()
    if suffix in _HTML:
        return "html"
    if suffix in _CODE:
        return "code"
    return "markdown" if suffix in _MARKDOWN or name == STDIN else "recursive"


def page_of(document: Document) -> Page:
    """A document as its chunks are judged; of HTML and code, the structure is not read."""
    return Page.of(document.text, markdown=usual_splitter(document.doc_id) not in ("html", "code"))


def _text(name: str, data: bytes) -> str:
    try:
        return extract(data, "")  # without the name's ending, HTML stays as it is
    except InputError as error:
        raise InputError(f"{name} {error}") from error


def _record(chunk: Chunk, text: str) -> dict[str, Any]:
    return {
        "start": chunk.start,
        "end": chunk.end,
        "text": text[chunk.start : chunk.end],
        "tokens": chunk.tokens,
        "heading_path": list(chunk.heading_path),
    }
