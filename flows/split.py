"""What `vecmill split FILE` does: cuts one file, and shows its chunks."""

import sys
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from flows import render, render_split
from flows.options import Common, Cut
from flows.request import splitter_form
from infra.splitters import make_splitter
from pipeline.analysis.boundaries import Page
from pipeline.analysis.splitters import Tally
from pipeline.errors import InputError
from pipeline.model import Chunk, Document
from pipeline.sources.extract import extract
from pipeline.space import Space
from pipeline.splitting.languages import language_of, named_language
from pipeline.tokens import counter_for

STDIN = "-"

_MARKDOWN = (".md", ".markdown", ".txt")
_HTML = (".html", ".htm")
_NAME_OF_STDIN = "standard input"


def show(file: str, cut: Cut, space: Space, common: Common, *, full: bool) -> None:
    """Cut one file, and show its chunks."""
    document = read_document(file)
    kind = cut.splitter or _usual(document.doc_id, common)
    spec = splitter_form(in_language(cut, kind, [document.doc_id]), {"kind": kind}).spec()
    if usual_splitter(document.doc_id) == "html" != spec.kind and not common.quiet:
        render.note(f"{file} is cut as it stands; vecmill ingest, with this splitter, cuts the text it shows")
    chunks = make_splitter(spec, space).split(document.text)
    if common.json:
        render.json_document([_record(chunk, document.text) for chunk in chunks])
        return
    page, tally = page_of(document), Tally(spec, counter_for(space))
    tally.add(page, chunks)
    name = document.doc_id if file == STDIN else file
    shown = render_split.Shown(name, document.text, chunks, spec, space.name, page, tally)
    render_split.chunks(shown, full=full)


def in_language(cut: Cut, kind: str, names: Collection[str]) -> Cut:
    """The cut with the language that all the files' names tell, if the splitter needs to know it."""
    told = {language_of(name) for name in names}
    if kind != "code" or cut.language or len(told) != 1:
        return cut
    return replace(cut, language=told.pop() or None)


def read_document(file: str) -> Document:
    """The text of a file as it stands, of HTML too; raises InputError for what is no text."""
    if file == STDIN:
        return Document(_NAME_OF_STDIN, STDIN, "", _text(_NAME_OF_STDIN, sys.stdin.buffer.read()))
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
    if suffix in _MARKDOWN or name == _NAME_OF_STDIN:
        return "markdown"
    if suffix in _HTML:
        return "html"
    return "code" if language_of(name) else "recursive"


def _usual(name: str, common: Common) -> str:
    """The usual splitter of a file, or one that does without a grammar that is not installed."""
    kind = usual_splitter(name)
    if kind != "code":
        return kind
    try:
        named_language(language_of(name)).parser()
    except InputError as error:
        if not common.quiet:
            render.note(f"{error}; until then it is cut as plain text")
        return "recursive"
    return kind


def page_of(document: Document) -> Page:
    """A document as its chunks are judged, by what its name says it is."""
    kind = usual_splitter(document.doc_id)
    return Page.of(document.text, kind if kind in ("html", "code") else "markdown")


def _text(name: str, data: bytes) -> str:
    try:
        return extract(data, name, markup=True)
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
