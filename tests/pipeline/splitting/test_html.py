"""HTML: what people see is in a chunk, and sections, blocks, tables and lists are where they should be."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from pipeline.model import Chunk
from pipeline.ports import TokenCounter
from pipeline.splitter_spec import SplitterSpec
from pipeline.splitting import make
from pipeline.tokens import OpenAITokens
from tests.pipeline.splitting.support import Clinging, Letters, checked, specs, split

_ENGLISH = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Opening hours</title>
<style>p > b { color: red }</style><script>if (a < b) document.write("<p>never")</script></head>
<body class="page"><!-- header -->
<nav><ul><li><a href="/">Home</a></li><li><a href="/sky">Sky</a></li></ul></nav>
<div id=main><h1>Visiting <em>the dome</em></h1>
<p>The dome opens at dusk. Bring a coat: it is as cold inside as out.</p>
<h2 id=tours>Tours &amp; talks</h2>
<table>
<thead><tr><th>Month</th><th>Begins</th></tr></thead>
<tr><td>May</td><td>21:30</td></tr>
<tr><td>June</td><td>22:15</td></tr>
<tr><td>July</td><td>22:00</td></tr>
</table>
<h3>What to bring</h3>
<ul><li>A coat.<li>A red torch.<li>Time.</ul>
<pre>dome open
dome turn 90</pre>
<svg><title>A star</title><path d="M0 0"/></svg><noscript>No scripts here</noscript>
</div></body></html>"""
_JAPANESE = (
    "<h1>川</h1><p>川は流れる。<b>水は冷たい。</b>魚がいる。</p>"
    "<h2>橋</h2><p>橋は長い。人が渡る。車は通れない。</p>"
)


def _chunks(text: str, most: int, **spec: Any) -> list[Chunk]:
    return make(SplitterSpec("html", max_characters=most, **spec), Letters()).split(text)


def _split(text: str, most: int, **spec: Any) -> list[str]:
    return split(text, Letters(), "html", max_characters=most, **spec)


def test_a_page_is_cut_at_its_headings_and_between_its_blocks() -> None:
    assert _split(_ENGLISH, 120) == [
        '<ul><li><a href="/">Home</a></li><li><a href="/sky">Sky</a></li></ul>',
        "<h1>Visiting <em>the dome</em></h1>\n"
        "<p>The dome opens at dusk. Bring a coat: it is as cold inside as out.</p>",
        "<h2 id=tours>Tours &amp; talks</h2>\n<table>\n<thead><tr><th>Month</th><th>Begins</th></tr></thead>",
        "<tr><td>May</td><td>21:30</td></tr>\n<tr><td>June</td><td>22:15</td></tr>\n"
        "<tr><td>July</td><td>22:00</td></tr>\n</table>",
        "<h3>What to bring</h3>\n<ul><li>A coat.<li>A red torch.<li>Time.</ul>\n"
        "<pre>dome open\ndome turn 90</pre>",
    ]


def test_chunks_know_the_words_of_the_headings_above_them() -> None:
    chunks = _chunks(_ENGLISH, 120)
    assert [(chunk.heading_path, chunk.prefix) for chunk in chunks] == [
        ((), ""),
        (("Visiting the dome",), ""),
        (("Visiting the dome", "Tours & talks"), "Visiting the dome\n\n"),
        (("Visiting the dome", "Tours & talks"), ""),
        (("Visiting the dome", "Tours & talks", "What to bring"), ""),
    ]


def test_japanese_is_cut_at_sentence_ends_and_never_between_a_full_stop_and_what_it_closes() -> None:
    assert _split(_JAPANESE, 30, prefix_headings=False) == [
        "<h1>川</h1><p>川は流れる。",
        "<b>水は冷たい。</b>魚がいる。</p>",
        "<h2>橋</h2><p>橋は長い。人が渡る。",
        "車は通れない。</p>",
    ]


@pytest.mark.parametrize(
    ("heading", "title"),
    [
        ("<h1>a &lt;b&gt; &#x5c71;</h1>", "a <b> 山"),
        ("<h2 class='x>y'>one\r\n  <i>two</i><br>three</h2>", "one two three"),
        ("<H3>H<sub>2</sub>O&nbsp; </H4>", "H2O"),
        ("<h1><div>Boxed</div></h1>", "Boxed"),
        ("<h1>never closed<p>text</p>", "never closed"),
        ("<h1><svg><text>icon</text></svg><script>x()</script>Seen<!-- not --></h1>", "Seen"),
        (f"<h1>{'long ' * 90}</h1>", ("long " * 40)[:199] + "…"),
    ],
)
def test_a_title_is_what_people_read_in_the_heading(heading: str, title: str) -> None:
    chunks = _chunks(heading + "<p>text</p>", 5000)
    assert [chunk.heading_path for chunk in chunks] == [(title,)]


def test_a_heading_that_nothing_follows_but_another_joins_its_section() -> None:
    page = "<div><h1>Sky</h1>\n<div><h2>Stars</h2><p>Many.</p></div></div><h2></h2><p>Few.</p>"
    assert [(page[one.start : one.end], one.heading_path) for one in _chunks(page, 100)] == [
        ("<h1>Sky</h1>\n<div><h2>Stars</h2><p>Many.</p>", ("Sky", "Stars")),
        ("<h2></h2><p>Few.</p>", ("Sky",)),
    ]


def test_small_sections_under_one_parent_are_packed_together_when_asked() -> None:
    page = "<h1>Sky</h1><p>Up.</p><h2>Stars</h2><p>Many.</p><h2>Moons</h2><p>Few.</p>"
    assert _split(page, 200, join_sections=True) == [page]


@pytest.mark.parametrize(
    ("table", "header"),
    [
        ("<table><tr><th>n<th>m</tr>{}</table>", "<tr><th>n<th>m</tr>\n"),
        ("<TABLE><thead><tr><td>n</td></tr></thead>{}</TABLE>", "<thead><tr><td>n</td></tr></thead>\n"),
        ("<table><tbody><tr><th>n<th>m{}", "<tr><th>n<th>m\n"),
        ("<table><tr><th>n<td>m</tr>{}</table>", ""),
        ("<table>{}</table>", ""),
    ],
)
def test_later_pieces_of_a_table_have_its_header_before_them(table: str, header: str) -> None:
    page = table.format("<tr><td>one</td><td>two</td></tr>" * 8)
    first, *later = _chunks(page, 160)
    assert first.prefix == ""
    assert {chunk.prefix for chunk in later} == {header}
    assert {chunk.prefix for chunk in _chunks(page, 160, repeat_table_header=False)} == {""}
    assert all(page.startswith("<tr>", chunk.start) for chunk in later)


@pytest.mark.parametrize(
    "whole",
    [
        "<table><tr><td>one. two. <tr><td>six</table>",
        "<table><tr><td>a<td><table><tr><td>b</table></table>",
        "<ul><li>one. two.</li><li>six</li></ul>",
        "<ol><li>one<ul><li>two</li></ul><li>six</ol>",
        "<pre>one.\n\ntwo.\n\nsix.\n\nten</pre>",
        "<dl><dt>one<dd>two. six.</dl>",
    ],
)
def test_what_belongs_together_stays_whole_where_it_fits(whole: str) -> None:
    page = f"<p>{'Some words. ' * 3}</p>{whole}<p>{'Some words. ' * 3}</p>"
    assert any(whole in chunk for chunk in _split(page, len(whole) + 5))


def test_of_a_list_that_does_not_fit_the_lists_within_stay_whole() -> None:
    inner = "<ul><li>one. two. six.</li><li>ten</li></ul>"
    page = f"<ul>{f'<li>Some words.{inner}</li>' * 9}</ul>"
    assert sum(chunk.count(inner) for chunk in _split(page, 80)) == 9


def test_a_page_laid_out_in_a_table_is_cut_at_its_headings_all_the_same() -> None:
    page = "<table><tr><td><h1>One</h1>Words. <td><h1>Two</h1>Words.</table>"
    assert (
        _split(page, 500) == ["<table><tr><td>", "<h1>One</h1>Words. <td>", "<h1>Two</h1>Words.</table>"][1:]
    )


@pytest.mark.parametrize(
    "unseen",
    [
        "<script>x < y; '<p>no</p>'</script>",
        "<STYLE>a > b {}</style >",
        "<!-- no -- > -->",
        "<!-->",
        "<!doctype html>",
        "<?php echo 1 ?>",
        "<template>no<template>no</template>no</template>",
        "<svg><title>no</title><style/><text>no</text><svg></svg>no</svg>",
        "<noscript><p>no</p></noscript>",
        "<title>no</title>",
        "<iframe><p>no</p></iframe>",
        "<div class='x'><hr></div>",
        "<p></p><ul><li></li></ul><span>&nbsp;</span>",
    ],
)
def test_what_nobody_sees_makes_no_chunk_and_stands_at_no_edge(unseen: str) -> None:
    assert _split(unseen * 3, 8) == []
    if "<p></p>" not in unseen:  # of these tags chunks keep the nearest
        assert _split(f"{unseen}one two{unseen}{unseen}six ten{unseen}", 8) == ["one two", "six ten"]


@pytest.mark.parametrize(
    ("broken", "chunks"),
    [
        ("no tags at all", ["no tags at all"]),
        ("<p>one<p>two", ["<p>one<p>two"]),
        ("<p>one</p", ["<p>one</p"]),
        ("a < b & c > d <3 <", ["a < b & c > d <3 <"]),
        ("one <!-- two", ["one"]),
        ("one <a href='two", ["one <a href='two"]),
        ("one <a href='two>six</a>", ["one <a href='two>six</a>"]),
        ('<a title=it\'s b="x>y">one</a>', ['<a title=it\'s b="x>y">one</a>']),
        ("one</b></p></div></table>", ["one</b></p></div></table>"]),
        ("one<script>two", ["one"]),
        ("one<svg><p>two", ["one<svg><p>two"]),
        ("<svg>one</a>two", ["</a>two"]),
        ("<textarea><b>one</textarea>", ["<textarea><b>one</textarea>"]),
        ("<table><table><tr><td>one", ["<table><table><tr><td>one"]),
    ],
)
def test_broken_html_is_read_as_browsers_read_it_or_kept(broken: str, chunks: list[str]) -> None:
    assert _split(broken, 100) == chunks


def test_a_cut_is_never_in_a_tag_or_an_entity_where_another_fits() -> None:
    page = 'abc<a href="one two. six">xyz</a>&hellip;&mdash;' * 40
    markup = [match.span() for match in re.finditer(r"<[^>]*>|&\w+;", page)]
    edges = {edge for chunk in _chunks(page, 60) for edge in (chunk.start, chunk.end)}
    assert len(edges) > 40
    assert not any(start < edge < end for edge in edges for start, end in markup)


def test_a_tag_too_long_for_any_chunk_is_left_out() -> None:
    image = f'<img src="data:image/png;base64,{"A" * 5000}">'
    assert _split(f"<p>Before it.</p>{image}<p>Behind it.</p>", 60) == [
        "<p>Before it.</p>",
        "<p>Behind it.</p>",
    ]


def test_windows_line_ends_are_kept_and_counted() -> None:
    page = "<pre>one\r\n\r\ntwo</pre>\r\n<p>six\r\nten</p>\r\n"
    assert _split(page, 30) == ["<pre>one\r\n\r\ntwo</pre>", "<p>six\r\nten</p>"]


_PARTS = [
    *("<p>", "</p>", "<p", "</p", '<div class="a">', "</div>", "<h1>", "</h1>", "<h2 id=x>", "</h2>", "<ul>"),
    *("<li>", "</li>", "</ul>", "<table>", "<tr>", "<th>", "<td>", "</td>", "</tr>", "</table>", "<thead>"),
    *(
        "</thead>",
        "<tbody>",
        "<pre>",
        "</pre>",
        "<br>",
        "<hr/>",
        "<b>",
        "</b>",
        "</a>",
        "<img src=y>",
        "<dl>",
    ),
    *('<a href="x>y" title=it\'s>', "<script>", "</script>", "<style>", "</style>", "<!-- ", "-->", "<!-->"),
    *("<!doctype html>", "<?php ?>", "<template>T <p>U</template>", "</template>", "<noscript>N</noscript>"),
    *("<svg><a>S</a></svg>", "</svg>", "<svg><text>S<p>", "<svg><title>S</title><style/></svg>", "<title>"),
    *("</title>", "<textarea>", "</textarea>", "<select>", "<option>", "<", ">", '"', "'", "=", "&amp;"),
    *("&nbsp;", "&#x5c71;", "&copy", "&", "</", "<!", '<a b="', "<a b=", '<A ==">', "</>", "<dt>", "</dl>"),
    *(
        "\n",
        "\r\n",
        " ",
        "river. ",
        "川は流れる。",
        "\u0301",
        "\u0600",
        "👩\u200d👩\u200d👧",
        "x" * 30,
        "あ" * 20,
    ),
    *(
        "\0",
        "<span/>",
        "</br>",
        "<caption>",
        "</body>",
        "<iframe>",
        "</iframe>",
        "<xmp>",
        "</xmp>",
        "<summary>",
    ),
]
_WORDS = [f"w{chr(97 + number // 26)}{chr(97 + number % 26)}" for number in range(60)]


@st.composite
def _pages(draw: st.DrawFn) -> str:
    """A page of many parts, broken most often, with words that no two places share."""
    words = iter(_WORDS)
    parts = draw(
        st.lists(st.sampled_from([*_PARTS, *(["WORD", "WORD ", "WORD. ", "WORD。"] * 9)]), max_size=50)
    )
    return "<body>" + "".join(part.replace("WORD", next(words)) if "WORD" in part else part for part in parts)


def _seen(page: str) -> list[str]:
    """The words that a page shows, as an HTML parser finds them."""
    tree = LexborHTMLParser(page)
    tree.strip_tags(
        ["script", "style", "noscript", "template", "svg", "head", "title", "iframe"], recursive=True
    )
    return re.findall(r"w[a-c][a-z]", tree.body.text(separator=" ")) if tree.body else []


@given(_pages(), specs(), st.sampled_from([Letters(), Clinging()]))
@settings(max_examples=250, deadline=None)
@example(_ENGLISH, SplitterSpec("html", 16, 4), Letters())
@example(_ENGLISH, SplitterSpec("html", 16, 4), Clinging())
@example("<body>\u0600<p>waa</p>\u0301<br>\u0301<h1>\u0600</h1>", SplitterSpec("html", 8), Letters())
@example("<body><svg>\u0600<dd>waa<script>\u0301", SplitterSpec("html", 8), Letters())
def test_chunks_are_exact_ordered_bounded_and_hold_every_word_that_people_see(
    page: str, spec: SplitterSpec, counter: TokenCounter
) -> None:
    chunks = checked(page, replace(spec, kind="html"), counter, complete=False)
    assert set(_seen(page)) <= set(re.findall(r"w[a-c][a-z]", _kept(page, chunks)))


def _kept(page: str, chunks: Sequence[Chunk]) -> str:
    """A page without what is in no chunk."""
    kept, reached = [], 0
    for chunk in chunks:
        kept.append(" " * (chunk.start > reached) + page[max(reached, chunk.start) : chunk.end])
        reached = chunk.end
    return "".join(kept)


def test_real_counters_hold_on_pages_of_both_languages() -> None:
    for page in (_ENGLISH, _JAPANESE * 9):
        chunks = checked(page, SplitterSpec("html", 24, 8), OpenAITokens(), complete=False)
        assert len(chunks) > 5
