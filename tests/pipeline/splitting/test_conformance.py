"""Cases from the peers' own tests: what they hold to be right, we give too, unless we say why not.

A case has a `kind` (whose splitter it is), a `verdict`, `params`, a `text` and what the peer gives for it.
Where the verdict is `compat`, that has to come out. Of the others our own rules have to hold; those of the
splitter in Rust differ by the white space around chunks alone, unless `_OTHERWISE` tells what we chose.
"""

import json
from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise
from typing import Any

import pytest

from pipeline.splitter_spec import SplitterSpec
from pipeline.splitting.levels import Separators
from pipeline.splitting.separators import SeparatorCutter
from pipeline.splitting.windows import Span
from tests.pipeline.splitting.support import Letters, checked
from tests.support import DATA

_FOLDER = DATA.parent / "conformance"
_KEEP = {True: "start", False: "drop"}
_LARGE = 100_000  # no section of any case is as long

_OTHERWISE = {
    "rust_text_splitter-013": "a section ends at the next heading, unless small ones are joined",
    "rust_text_splitter-024": "dots within brackets end no sentence",
    "rust_text_splitter-025": "dots within brackets end no sentence",
    "rust_text_splitter-031": "no grapheme is cut",
}

Case = dict[str, Any]


def _cases(*kinds: str) -> list[Any]:
    """The cases of some kinds; one that is skipped, and says so, where none are here."""
    found = [case for path in sorted(_FOLDER.glob("*.json")) for case in json.loads(path.read_text("utf-8"))]
    chosen = [pytest.param(case, id=case["id"]) for case in found if case["kind"] in kinds]
    absent = pytest.mark.skip(f"there are no conformance cases of {' or '.join(kinds)} here")
    return chosen or [pytest.param({}, marks=absent)]


# LangChain's splitters by separators


def _spans(case: Case, text: str, recursive: bool) -> list[Span]:
    params = case["params"]
    separators = Separators(
        tuple(params["separators"]), params["regex"], _KEEP.get(params["keep"], params["keep"])
    )
    cutter = SeparatorCutter(
        separators, params["size"], params["overlap"], langchain=True, recursive=recursive
    )
    spans = cutter.spans(text)
    assert all(0 <= start < end <= len(text) and text[start:end].strip() for start, end in spans)
    assert all(one[0] <= two[0] and one[1] <= two[1] for one, two in pairwise(spans))
    return spans


@pytest.mark.parametrize("case", _cases("recursive", "character"))
def test_separators_cut_as_langchains_do(case: Case) -> None:
    text, params = case["text"], case["params"]
    chunks = [text[start:end] for start, end in _spans(case, text, case["kind"] == "recursive")]
    if case["verdict"] == "compat":
        assert chunks == (case["expected"] if params["strip"] else _trimmed(case["expected"]))
    elif not params["regex"]:
        whole = [chunk for chunk in chunks if len(chunk) > params["size"]]
        assert not [chunk for chunk in whole if any(separator in chunk for separator in params["separators"])]


@pytest.mark.parametrize("case", _cases("documents"))
def test_documents_have_langchains_chunks_at_their_places(case: Case) -> None:
    assert case["verdict"] == "compat"
    recursive = len(case["params"]["separators"]) > 1
    found = [(text, span) for text in case["text"] for span in _spans(case, text, recursive)]
    assert [text[start:end] for text, (start, end) in found] == [one["text"] for one in case["expected"]]
    for (_, (start, _)), one in zip(found, case["expected"], strict=True):
        assert one["start"] in (None, start)


# Splitters by a bound in characters


@pytest.mark.parametrize("case", _cases("semchunk", "whole"))
def test_chunks_stand_where_the_peers_do(case: Case) -> None:
    assert case["verdict"] == "compat"
    spec = SplitterSpec("recursive", max_characters=case["params"]["size"])
    text = case["text"]
    chunks = checked(text, spec, Letters())
    assert [[text[chunk.start : chunk.end], chunk.start, chunk.end] for chunk in chunks] == case["expected"]


@pytest.mark.parametrize("case", _cases("TextSplitter", "MarkdownSplitter"))
def test_chunks_are_those_of_the_splitter_in_rust(case: Case) -> None:
    params, text = case["params"], case["text"]
    spec = SplitterSpec(
        "markdown" if case["kind"] == "MarkdownSplitter" else "recursive",
        max_characters=params["capacity"],
        overlap_characters=params["overlap"],
        prefix_headings=False,
        repeat_table_header=False,
    )
    chunks = [text[chunk.start : chunk.end] for chunk in checked(text, spec, Letters())]
    assert (chunks == _trimmed(case["expected"])) is (case["id"] not in _OTHERWISE)


def _trimmed(chunks: Iterable[str]) -> list[str]:
    return [chunk.strip() for chunk in chunks if chunk.strip()]


# Splitters of Markdown by headings


@pytest.mark.parametrize("case", _cases("md_header", "md_sections", "md_experimental"))
def test_sections_are_those_that_headings_make(case: Case) -> None:
    text, expected = case["text"], case["expected"]
    checked(text, SplitterSpec("markdown", max_characters=48, overlap_characters=12), Letters())
    sections = _sections(text)
    if case["verdict"] == "partial":  # a byte order mark hides no heading
        assert sections[0][0] == tuple(expected[0]["metadata"].values())
    if case["verdict"] != "compat":
        return
    if case["kind"] == "md_sections":
        assert [(list(path[:-1]), own) for path, own in sections] == [
            (section["path"], section["text"]) for section in expected
        ]
    else:
        levels = {len(mark) for mark, _ in case["params"]["headers"] if set(mark) == {"#"}}
        given = [(tuple(section["metadata"].values()), section["text"]) for section in expected]
        found = _under(levels, case["params"]["strip_headers"], sections)
        assert _joined(found) == _joined(given)


def _sections(text: str) -> list[tuple[tuple[str, ...], str]]:
    """Each section's headings and text."""
    spec = SplitterSpec("markdown", max_characters=_LARGE, prefix_headings=False, repeat_table_header=False)
    return [(chunk.heading_path, text[chunk.start : chunk.end]) for chunk in checked(text, spec, Letters())]


def _under(
    levels: set[int], stripped: bool, sections: Sequence[tuple[tuple[str, ...], str]]
) -> list[tuple[tuple[str, ...], str]]:
    """The sections under headings of some levels: others are text."""
    found: list[tuple[tuple[str, ...], str]] = []
    for path, own in sections:
        level = _level(own)
        if level and level not in levels and found:
            path = found[-1][0]
        while stripped and _level(own) in levels:
            own = own.partition("\n")[2].lstrip()
        found.append((path, own))
    return found


def _level(text: str) -> int:
    """The level of the heading that a text begins with; 0 where it begins with none."""
    marks = len(text) - len(text.lstrip("#"))
    return marks if text[marks : marks + 1] in (" ", "\t", "\n") else 0


def _joined(sections: Iterable[tuple[tuple[str, ...], str]]) -> list[tuple[tuple[str, ...], str]]:
    """Neighbours under the same headings as one, without any white space; what has no text is left out."""
    parts = [(path, "".join(own.split())) for path, own in sections]
    return [
        (path, "".join(own for _, own in group))
        for path, group in groupby((part for part in parts if part[1]), key=lambda part: part[0])
    ]
