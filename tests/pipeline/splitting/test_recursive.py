"""The recursive splitter reads no Markdown: it knows paragraphs, items, sentences, words."""

from pipeline.splitter_spec import SplitterSpec
from pipeline.splitting import make
from tests.pipeline.splitting.support import Letters, checked, split


def test_paragraphs_share_a_chunk_where_they_fit() -> None:
    text = "First one.\n\nSecond.\n\nThe third paragraph.\n"
    assert split(text, Letters(), "recursive", 24) == ["First one.\n\nSecond.", "The third paragraph."]


def test_japanese_is_cut_behind_its_sentences() -> None:
    text = "雨が降る。川が増す。「逃げて！」と言う。山へ行く。"
    assert split(text, Letters(), "recursive", 12) == [
        "雨が降る。川が増す。",
        "「逃げて！」と言う。",
        "山へ行く。",
    ]


def test_chunks_overlap_by_whole_sentences() -> None:
    text = "One is. Two is. Six is. Ten is."
    assert split(text, Letters(), "recursive", 16, 8) == [
        "One is. Two is.",
        "Two is. Six is.",
        "Six is. Ten is.",
    ]


def test_headings_are_text_like_any_other() -> None:
    chunks = checked("# Rivers\n\n## 川\n\nWater.", SplitterSpec("recursive", 64), Letters())
    assert [(chunk.heading_path, chunk.prefix) for chunk in chunks] == [((), "")]


def test_a_long_line_without_separators_fills_its_chunks() -> None:
    chunks = make(SplitterSpec("recursive", 50), Letters()).split("x" * 1000)
    assert [chunk.tokens for chunk in chunks[:-1]] == [50] * (len(chunks) - 1)
