"""From a file's bytes to its text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.sources.extract import extract

BOM = b"\xef\xbb\xbf"
PAGE = """<!doctype html><html lang="ja"><head><title>題</title><style>p { color: red }</style></head>
<body><nav><a href="/">Home</a></nav>
<h1>星の <em>観察</em></h1><p>空は暗い。<br>星が見える。</p>
<h3>Tables &amp; lists</h3>
<table><caption>Nights</caption><tr><th>Month</th><th>Clear</th></tr><tr><td>May</td><td>12</td></tr></table>
<ul><li>one<li>two</ul>
<pre>def look():
    return up</pre>
<script>track()</script><noscript>enable it</noscript></body></html>"""
SHOWN = """Home

# 星の 観察

空は暗い。
星が見える。

### Tables & lists

Nights

Month Clear

May 12

one

two

def look():
    return up"""


def _refused(data: bytes, name: str = "a.md") -> str:
    with pytest.raises(InputError) as raised:
        extract(data, name)
    return str(raised.value)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])).filter(lambda text: text[:1] != "\ufeff"))
def test_utf_8_is_read_as_it_stands_with_or_without_a_byte_order_mark(text: str) -> None:
    assert extract(text.encode(), "a.md") == text
    assert extract(BOM + text.encode(), "a.txt") == text


@pytest.mark.parametrize("text", ["", "a\r\nb\rc\n", "タブ\tと\x0c改頁", "\x1b[1mbold\x1b[0m"])
def test_line_ends_and_controls_that_occur_in_text_are_kept(text: str) -> None:
    assert extract(text.encode(), "a.md") == text


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"abc\ndef\xff", "byte 7 (line 2) is 0xff"),
        (BOM + b"abc\ndef\xff", "byte 10 (line 2) is 0xff"),
        ("山は高い。".encode("shift_jis"), "byte 0 (line 1) is 0x8e"),
        (b"abc\n\n" + "山は高い。".encode("euc_jp"), "byte 5 (line 3) is 0xbb"),
        (b"surrogate \xed\xa0\x80", "byte 10 (line 1) is 0xed"),
        (b"cut short \xe5\xb1", "byte 10 (line 1) is 0xe5"),
    ],
)
def test_what_is_not_utf_8_is_refused_by_byte_and_line_with_a_remedy(data: bytes, place: str) -> None:
    said = f"is not UTF-8: {place}; convert it, for example with iconv -f SHIFT_JIS -t UTF-8"
    assert _refused(data) == said
    assert _refused(data, "a.html") == said


@pytest.mark.parametrize("text", ["plain English", "山は高い。"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_utf_16_is_named_where_its_mark_tells(text: str, encoding: str) -> None:
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    message = _refused(mark + text.encode(encoding))
    assert message.startswith("is not UTF-8: byte 0 (line 1) is 0xf")
    assert message.endswith("iconv -f UTF-16 -t UTF-8")


@pytest.mark.parametrize(
    "data", [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\0", b"text \0\0\0", b"PK\x03\x04\x14\0"]
)
def test_binary_data_is_called_binary_whether_or_not_it_happens_to_decode(data: bytes) -> None:
    assert _refused(data) == "is a binary file, not text"


def test_a_stray_null_in_a_long_text_does_not_make_it_binary() -> None:
    text = "a sentence that goes on " * 10 + "\0"
    assert extract(text.encode(), "a.md") == text


def test_html_becomes_the_text_that_it_shows_with_its_headings_as_markdown() -> None:
    assert extract(PAGE.encode(), "page.HTML").replace(" \n", "\n") == SHOWN


def test_the_same_bytes_under_another_name_stay_as_they_are() -> None:
    assert extract(PAGE.encode(), "page.md") == PAGE


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("", ""),
        ("no tags at all", "no tags at all"),
        ("<h1></h1><h2> \n</h2>x", "x"),
        ("<h2>never <b>closed<h2>next", "## never closed ## next"),
        ("<a href='#'><h3>見出し</h3></a>", "### 見出し"),
        ("<h1>a<script>evil()</script></h1>", "# a"),
        ("a&nbsp;b &lt;c&gt; &#x5c71;", "a\xa0b <c> 山"),
        ("<td>a</td>", "a"),
        ("<frameset><frame></frameset>", ""),
        ("<p>x<svg><text>drawn</text></svg><template>t</template><!-- c --></p>", "x"),
        ("<details><summary>S</summary>T</details>", "S\nT"),
    ],
)
def test_odd_html_is_read_without_complaint(html: str, text: str) -> None:
    assert extract(html.encode(), "a.htm") == text


@given(st.text(st.sampled_from("<>/=&;\"'!-# \nabdhlpt山123"), max_size=200))
def test_no_html_makes_the_reader_fail_and_no_run_of_blank_lines_is_left(html: str) -> None:
    text = extract(html.encode(), "a.html")
    assert text == text.strip()
    assert "\n\n\n" not in text
