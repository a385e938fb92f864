"""Custom separators hold every bound; LangChain's way gives its chunks, as slices of the text."""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
import regex
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.model import Chunk
from pipeline.ports import TokenCounter
from pipeline.splitter_spec import SplitterSpec
from pipeline.splitting.levels import LANGCHAIN, Separators
from pipeline.splitting.separators import SeparatorCutter, SeparatorSplitter
from tests.pipeline.splitting.support import Clinging, Letters, Quarters, Words, cpu_seconds, texts

_PROSE = ("\n\n", "\n", "。", ". ", "、", " ")
_LITERALS = ("\n\n", "\n", " ", "", ".", "川", "aba", "aa", "..", "\n\n\n", "\n-\n", ". ")
_PATTERNS = (r"\n+", r"\s", r"(?<=\.)", r"(?=a)", r"\.|川", "a*", "^", "$", r"\b", "", "(?:a)b", r"(?<=\n)\n")


def _split(text: str, separators: Separators, bound: int, overlap: int = 0, **how: Any) -> list[str]:
    return [text[start:end] for start, end in SeparatorCutter(separators, bound, overlap, **how).spans(text)]


def _like_langchain(text: str, *patterns: str, bound: int, overlap: int = 0, **kept: Any) -> list[str]:
    return _split(text, Separators(patterns or LANGCHAIN, **kept), bound, overlap, langchain=True)


def _by_character(text: str, pattern: str, bound: int, overlap: int = 0, **kept: Any) -> list[str]:
    return _split(text, Separators((pattern,), **kept), bound, overlap, langchain=True, recursive=False)


# Custom separators


def test_whole_pieces_of_the_coarsest_separator_share_a_chunk() -> None:
    text = "one; two; three\nfour; five\nsix"
    assert _split(text, Separators(("\n", "; ")), 16) == ["one; two; three", "four; five\nsix"]
    assert _split(text, Separators(("\n", "; ")), 9) == ["one; two", "; three", "four", "; five", "six"]


def test_a_separator_stays_where_it_is_told_to() -> None:
    text = "雨。川。山。海"
    for keep, chunks in (
        ("start", ["雨", "。川", "。山", "。海"]),
        ("end", ["雨。", "川。", "山。", "海"]),
        ("drop", ["雨", "川", "山", "海"]),
    ):
        assert _split(text, Separators(("。",), keep=keep), 2) == chunks


def test_dropped_separators_stay_within_a_chunk() -> None:
    assert _split("a--b----c--d", Separators(("--",), keep="drop"), 7) == ["a--b", "c--d"]
    assert _split("----", Separators(("--",), keep="drop"), 7) == []


def test_behind_the_last_separator_come_words_phrases_and_graphemes() -> None:
    assert _split("aa bb cc dd", Separators(("\n",)), 5) == ["aa bb", "cc dd"]
    assert _split("雨が降る川が増す", Separators(("\n",)), 5) == ["雨が降る", "川が増す"]
    assert _split("e\u0301" * 4, Separators(("\n",)), 5) == ["e\u0301" * 2] * 2


def test_a_piece_of_just_the_bound_stays_whole_unless_it_is_langchains() -> None:
    text = "ab \n\ncd"
    assert _split(text, Separators(("\n",), keep="end"), 4) == ["ab", "cd"]
    assert _like_langchain(text, "\n", bound=4, keep="end") == ["ab \n", "cd"]


def test_chunks_overlap_by_whole_pieces() -> None:
    text = "a1. b2. c3. d4. e5."
    assert _split(text, Separators((" ",), keep="end"), 8, 4) == ["a1. b2.", "b2. c3.", "c3. d4.", "d4. e5."]
    assert _split(text, Separators((" ",), keep="drop"), 7, 3) == ["a1. b2.", "b2. c3.", "c3. d4.", "d4. e5."]


def test_a_bound_in_tokens_holds_for_the_chunk_as_a_whole() -> None:
    text = "one two six ten red hot ice"
    assert _split(text, Separators((" ",)), 3, counter=Words()) == ["one two six", "ten red hot", "ice"]


def test_a_pattern_sees_the_stretch_that_it_cuts_and_no_more() -> None:
    text = "a1b2\n\nc3d4"
    assert _split(text, Separators((r"\n\n", r"^\w\d"), regex=True, keep="end"), 4) == ["a1b2", "c3d4"]
    assert _split(text, Separators((r"\n\n", r"^\w\d"), regex=True, keep="end"), 3) == [
        "a1",
        "b2",
        "c3",
        "d4",
    ]


def test_line_ends_of_windows_are_separators_too() -> None:
    assert _split("ab cd\r\nef gh\r\n", Separators(("\n",)), 8) == ["ab cd", "ef gh"]


def test_a_pattern_that_cannot_be_read_is_named_with_the_reason() -> None:
    with pytest.raises(InputError, match=r"'a\(b'.*unterminated subpattern at position 1"):
        Separators(("\n", "a(b"), regex=True)
    Separators(("\n", "a(b"))


def test_a_place_where_no_separator_can_be_kept_is_refused() -> None:
    with pytest.raises(InputError, match=r"'middle'.*start, end, drop"):
        Separators(keep="middle")


_SEPARATORS = st.builds(
    Separators,
    st.lists(
        st.sampled_from([*_PROSE, "", "word", "- ", "\r\n", "=", "あ", "\u0301", "\u200d"]), max_size=4
    ).map(tuple),
    keep=st.sampled_from(["start", "end", "drop"]),
)


@given(texts, _SEPARATORS, st.integers(1, 40), st.data())
def test_every_character_is_in_a_chunk_no_larger_than_the_bound(
    text: str, separators: Separators, bound: int, data: st.DataObject
) -> None:
    overlap = data.draw(st.integers(0, bound // 2))
    counter = data.draw(st.sampled_from([None, Letters(), Quarters(), Words(), Clinging()]))
    spans = SeparatorCutter(separators, bound, overlap, counter).spans(text)
    assert SeparatorCutter(separators, bound, overlap, counter).spans(text) == spans
    for (start, end), (next_start, next_end) in pairwise(spans):
        assert start < next_start
        assert end < next_end
        if next_start < end:
            assert _size(text[next_start:end], counter) <= overlap
    for start, end in spans:
        chunk = text[start:end]
        assert chunk
        assert chunk == chunk.strip()
        assert _size(chunk, counter) <= bound or len(regex.findall(r"\X", chunk)) == 1
    _check_left_out(text, spans, separators)
    _check_graphemes(text, [edge for span in spans for edge in span])


def _size(text: str, counter: TokenCounter | None) -> int:
    return counter.count([text])[0] if counter else len(text)


def _check_left_out(text: str, spans: Sequence[tuple[int, int]], separators: Separators) -> None:
    dropped = [re.escape(pattern) for pattern in separators.patterns if separators.keep == "drop" and pattern]
    nothing = re.compile("|".join([*dropped, r"\s"]))
    reached = 0
    for start, end in [*spans, (len(text), len(text))]:
        assert nothing.sub("", text[reached:start]) == ""
        reached = max(reached, end)


def _check_graphemes(text: str, edges: Sequence[int]) -> None:
    """No edge lies inside a grapheme, other than between its white space and the rest."""
    inside = {at for found in regex.finditer(r"\X", text) for at in range(found.start() + 1, found.end())}
    for edge in inside.intersection(edges):
        assert text[edge - 1].isspace() or text[edge].isspace()


def test_a_spec_names_the_separators() -> None:
    spec = SplitterSpec("recursive", max_characters=7, separators=("--",), keep_separator="drop")
    assert SeparatorSplitter(spec, Words()).split("a b--c d--e f") == [
        Chunk(0, 3, 2),
        Chunk(5, 8, 2),
        Chunk(10, 13, 2),
    ]
    spec = SplitterSpec("recursive", 8, langchain=True)
    assert SeparatorSplitter(spec, Letters()).split("aa bb\n\ncc dd") == [Chunk(0, 5, 5), Chunk(7, 12, 5)]


# LangChain's


def test_langchain_leaves_long_what_has_no_separator() -> None:
    assert _like_langchain("This one. That longer one.", ". ", bound=8, keep="end") == [
        "This one. ",
        "That longer one.",
    ]
    assert _by_character("foo barbaz", " ", 4, keep="drop") == ["foo", "barbaz"]


def test_runs_of_a_separator_are_read_from_the_left() -> None:
    assert _like_langchain("a=====b", "==", bound=5) == ["a==", "===b"]
    assert _like_langchain("a=====b", "==", bound=6, keep="end") == ["a====", "=b"]


def test_a_chunk_of_dropped_separators_is_a_slice_of_the_text() -> None:
    assert _by_character("foo  bar  baz", " ", 8, keep="drop") == ["foo  bar", "baz"]
    assert _by_character("a.b.c", r"\.", 3, keep="drop", regex=True) == ["a.b", "c"]


def test_groups_of_a_pattern_make_no_pieces_of_their_own() -> None:
    assert _like_langchain("1ab2ab3", "(a)(b)", bound=3, regex=True) == ["1", "ab2", "ab3"]


def test_langchains_overlap_makes_room_for_the_next_piece() -> None:
    text = "aaa bbb ccccc dd"
    assert _by_character(text, " ", 9, 7, keep="drop") == ["aaa bbb", "bbb ccccc", "ccccc dd"]


def test_langchains_tokens_are_the_sum_of_the_pieces() -> None:
    # Four quarters begun in each of the pieces, though not in the whole.
    assert _split("aaaaa bbbb c", Separators((" ",)), 4, counter=Quarters(), langchain=True) == [
        "aaaaa bbbb",
        "c",
    ]


_PATTERN_LISTS = st.one_of(
    st.tuples(st.just(False), st.just(LANGCHAIN)),
    st.tuples(st.just(False), st.lists(st.sampled_from(_LITERALS), min_size=1, max_size=5).map(tuple)),
    st.tuples(st.just(True), st.lists(st.sampled_from(_PATTERNS), min_size=1, max_size=5).map(tuple)),
)


@settings(max_examples=150)
@given(st.text("ab.川 \n", max_size=120), _PATTERN_LISTS, st.integers(1, 30), st.data())
def test_langchains_chunks_are_the_originals(
    text: str, patterns: tuple[bool, tuple[str, ...]], bound: int, data: st.DataObject
) -> None:
    original = pytest.importorskip(
        "langchain_text_splitters", reason="LangChain's splitters are not installed"
    )
    original.base.logger.setLevel("ERROR")  # it warns of every long chunk
    regex_, patterns_ = patterns
    overlap, keep = data.draw(st.integers(0, bound)), data.draw(st.sampled_from(["start", "end", "drop"]))
    counter, recursive = data.draw(st.sampled_from([None, Letters(), Quarters()])), data.draw(st.booleans())
    if keep == "drop":  # LangChain measures patterns, and loses empty pieces
        assume(not regex_ and not any(pattern and pattern * 2 in text for pattern in patterns_))
    options = {
        "chunk_size": bound,
        "chunk_overlap": overlap,
        "keep_separator": keep != "drop" and keep,
        "is_separator_regex": regex_,
        "length_function": lambda piece: _size(piece, counter),
    }
    if recursive:
        splitter = original.RecursiveCharacterTextSplitter(separators=list(patterns_), **options)
    else:
        splitter = original.CharacterTextSplitter(separator=patterns_[0], **options)
    separators = Separators(patterns_, regex_, keep)
    spans = SeparatorCutter(separators, bound, overlap, counter, langchain=True, recursive=recursive).spans(
        text
    )
    assert [text[start:end] for start, end in spans] == [
        chunk for chunk in splitter.split_text(text) if chunk.strip()
    ]


# Growth

_SMALL, _TIMES = 6_000, 16
_TEXTS: dict[str, Callable[[int], str]] = {
    "one long line": lambda size: "x" * size,
    "line ends": lambda size: "\n" * size,
    "line ends of windows": lambda size: "\r\n" * (size // 2),
    "spaces": lambda size: " " * size,
    "words": lambda size: "word " * (size // 5),
    "long lines": lambda size: ("x" * 999 + "\n") * (size // 1000),
    "one grapheme": lambda size: "a" + "\u0301" * size,
    "flags": lambda size: "🇦" * size,
}
_WAYS = {
    "own": SeparatorCutter(Separators(), 64, 31),
    "own, in tokens": SeparatorCutter(Separators(), 16, 8, Quarters()),
    "own, dropped": SeparatorCutter(Separators(("\n", "x", "\u0301"), keep="drop"), 64, 31),
    "langchain": SeparatorCutter(Separators(), 64, 31, langchain=True),
    "langchain, at the end": SeparatorCutter(Separators(keep="end"), 64, 0, langchain=True),
    "langchain, patterns": SeparatorCutter(Separators((r"\n+", " ", ""), True), 64, 31, langchain=True),
    "langchain, in tokens": SeparatorCutter(Separators(), 16, 8, Quarters(), langchain=True),
}


@pytest.mark.parametrize("way", _WAYS)
@pytest.mark.parametrize("name", _TEXTS)
def test_sixteen_times_the_text_takes_less_than_forty_times_the_time(name: str, way: str) -> None:
    small, large = (_TEXTS[name](size) for size in (_SMALL, _SMALL * _TIMES))
    spans = _WAYS[way].spans
    # The best of some tries: the clock also shows what else the machine does.
    assert any(cpu_seconds(spans, large) < 40 * cpu_seconds(spans, small) for _ in range(8))
