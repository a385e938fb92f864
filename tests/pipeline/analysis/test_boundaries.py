"""Where chunks end, and what their ends leave alone or break."""

from itertools import pairwise

import pytest
from hypothesis import given

from pipeline.analysis.boundaries import LEVELS, Page
from pipeline.model import Chunk
from pipeline.splitter_spec import SplitterSpec
from pipeline.splitting import make
from tests.pipeline.splitting.support import Letters, specs, texts


def _chunks(text: str) -> tuple[str, list[Chunk]]:
    """A text without its marks, and the chunks that they are between."""
    parts = text.split("¦")
    found, at = [], 0
    for part in parts:
        start = at + len(part) - len(part.lstrip())
        found.append(Chunk(start, at + len(part.rstrip()), 1))
        at += len(part)
    return "".join(parts), found


def _ends(marked: str) -> list[str]:
    text, chunks = _chunks(marked)
    return Page.of(text).ends(chunks)


@pytest.mark.parametrize(
    ("marked", "end"),
    [
        ("Rivers.\n\n¦# Next\n", "section"),
        ("Rivers, and\n\n¦Next\n====\n", "section"),
        ("Rivers.\n\n¦Next.", "paragraph"),
        ("Rivers.\r\n\r\n¦Next.", "paragraph"),
        ("rivers\n  \t\n¦next", "paragraph"),
        ("Rivers.\n¦Next.", "sentence"),
        ("Rivers.\r\n¦Next.", "sentence"),
        ("Rivers! ¦Next.", "sentence"),
        ("“Rivers?” ¦Next.", "sentence"),
        ("**Rivers.** ¦Next.", "sentence"),
        ("(rivers.) ¦Next.", "sentence"),
        ("rivers . ¦next", "sentence"),
        ("川。¦山", "sentence"),
        ("「川！」¦山", "sentence"),
        ("川。\n¦山", "sentence"),
        ("i.e. ¦next", "word"),
        ("３．¦１４", "word"),
        ("3.¦14", "word"),
        ("- rivers\n¦- next", "line"),
        ("rivers\n¦next", "line"),
        ("Rivers:\n¦- next", "line"),
        ("rivers, ¦next", "clause"),
        ("川、¦山", "clause"),
        ("rivers: ¦next", "clause"),
        ("1,¦000", "word"),
        ("rivers ¦next", "word"),
        ("(rivers)¦(next)", "word"),
        ("川の¦山", "word"),
        ("川km¦山", "word"),
        ("riv¦ers", "inside_word"),
        ("ながれ¦る", "inside_word"),
        ("東京¦都", "inside_word"),
        ("10¦24", "inside_word"),
    ],
)
def test_an_end_is_told_from_the_text_around_it(marked: str, end: str) -> None:
    assert _ends(marked) == [end, "section"]


def test_what_follows_under_other_headings_is_another_section() -> None:
    text = "<p>Rivers</p> <p>Next</p>"
    chunks = [Chunk(0, 13, 1, ("A",)), Chunk(14, 25, 1, ("A", "B"))]
    assert Page.of(text, "html").ends(chunks) == ["section", "section"]


@pytest.mark.parametrize(
    ("marked", "end"),
    [
        ("<p>Rivers</p>¦<h2>Next</h2>", "section"),
        ("<div><p>Rivers</p></div>\n<div>¦<p>Next</p></div>", "paragraph"),
        ("<ul><li>rivers</li>¦<li>next</li></ul>", "paragraph"),
        ("<p>Rivers <b>flow.</b> ¦Next.</p>", "sentence"),
        ("<p><b>川は流れる。</b>¦山は高い。</p>", "sentence"),
        ("<p>one, ¦two</p>", "clause"),
        ("<p>one ¦<i>two</i></p>", "word"),
        ("<p>ri¦vers</p>", "inside_word"),
        ("<p>rivers<br>\n¦next</p>", "line"),
    ],
)
def test_an_end_in_html_is_told_from_what_is_seen(marked: str, end: str) -> None:
    text, chunks = _chunks(marked)
    assert Page.of(text, "html").ends(chunks) == [end, "section"]


def test_of_html_headings_tables_with_headers_and_preformatted_text_are_known() -> None:
    table = "<table><thead><tr><th>a</th></tr></thead><tr><td>1</td></tr></table>"
    text = f"<h1>A</h1>\n<pre>\nx = 1\n</pre>\n{table}\n<ul><li>b</li></ul>"
    page = Page.of(text, "html")
    assert [text[one.start : one.end] for one in page.stretches] == ["<pre>\nx = 1\n</pre>", table]
    assert [one.kind for one in page.stretches] == ["fence", "table"]
    assert len(page.headings) == 1
    assert page.alone([Chunk(0, 10, 1), Chunk(11, len(text), 1)]) == 1


def test_the_end_of_a_chunk_that_shares_text_with_the_next_is_told_in_the_same_way() -> None:
    text = "One two. Three four. Five."
    assert Page.of(text).ends([Chunk(0, 14, 1), Chunk(9, 20, 1), Chunk(14, 26, 1)]) == [
        "word",
        "sentence",
        "section",
    ]


@pytest.mark.parametrize(
    ("marked", "alone"),
    [
        ("# A\n\n¦text", 1),
        ("text\n\n# A\n\n¦text", 1),
        ("text\n\nA\n===\n¦text", 1),
        ("# A\n¦## B\n\ntext", 1),
        ("# A\n\n## B\n\n¦text", 1),
        ("# A\n\n## B\n\ntext", 0),
        ("# A\n\ntext\n\n¦# B\n\ntext", 0),
        ("# A\n\ntext\n\n# B\n\n¦# C\n\ntext", 0),
        ("text\n\n¦# A", 0),
        ("text\n\n# A\n", 0),
    ],
)
def test_a_heading_is_alone_where_what_is_under_it_is_in_the_next_chunk(marked: str, alone: int) -> None:
    text, chunks = _chunks(marked)
    assert Page.of(text).alone(chunks) == alone


def test_a_heading_that_the_next_chunk_repeats_is_not_alone() -> None:
    text = "text\n\n# A\n\nmore"
    assert Page.of(text).alone([Chunk(0, 9, 1), Chunk(6, 15, 1)]) == 0


TABLE = "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |"
FENCE = "```py\none\n\ntwo\n```"


@pytest.mark.parametrize(
    ("marked", "kinds"),
    [
        (f"Text.\n\n{TABLE}\n\n{FENCE}\n", []),
        (f"Text.\n\n¦{TABLE}\n\n¦{FENCE}\n", []),
        (f"{TABLE.replace('| 3', '¦| 3')}\n\n{FENCE}\n", ["table"]),
        (f"{TABLE}\n\n{FENCE.replace('two', '¦two')}", ["fence"]),
        (f"{TABLE.replace('| 3', '¦| 3')}\n\n{FENCE.replace('two', '¦two')}", ["table", "fence"]),
        ("<!-- a\n\n¦b -->\n", []),
    ],
)
def test_what_no_chunk_holds_whole_is_broken(marked: str, kinds: list[str]) -> None:
    text, chunks = _chunks(marked)
    assert [stretch.kind for stretch in Page.of(text).broken(chunks)] == kinds


def test_a_fence_that_an_overlapping_chunk_holds_whole_is_not_broken() -> None:
    text = f"Text.\n\n{FENCE}\n"
    start = text.index("```")
    chunks = [Chunk(0, start + 9, 1), Chunk(start, start + len(FENCE), 1)]
    assert Page.of(text).broken(chunks) == []


def test_what_is_no_markdown_has_no_structure() -> None:
    page = Page.of("# a comment\nx = 1\n", "code")
    assert (page.headings, page.stretches) == ((), ())


def test_no_chunks_end_nowhere() -> None:
    page = Page.of("# A\n\n```\nx\n```\n")
    assert (page.ends([]), page.alone([])) == ([], 0)


@given(text=texts, spec=specs())
def test_every_end_is_told_whatever_the_text(text: str, spec: SplitterSpec) -> None:
    chunks = make(spec, Letters()).split(text)
    page = Page.of(text)
    ends = page.ends(chunks)
    assert len(ends) == len(chunks)
    assert set(ends) <= set(LEVELS)
    assert page.alone(chunks) <= len(page.headings)
    for stretch in page.broken(chunks):
        assert not any(one.start <= stretch.start and stretch.end <= one.end for one in chunks)
    assert all(one.start < one.end for one in page.stretches)
    assert all(one.end <= two.start for one, two in pairwise(page.stretches))
