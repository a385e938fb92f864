"""Sections: prefixes, bounds and what gives way where something does not fit."""

from pipeline.model import Chunk
from pipeline.ports import TokenCounter
from pipeline.splitter_spec import SplitterSpec
from pipeline.splitting.sections import Section, chunk_sections
from tests.pipeline.splitting.support import Clinging, Letters, Quarters


def _chunks(text: str, section: Section, most: int, counter: TokenCounter) -> list[Chunk]:
    return chunk_sections(text, [section], SplitterSpec("recursive", most), counter)


def test_no_section_gives_no_chunk() -> None:
    assert chunk_sections("", [], SplitterSpec(), Letters()) == []


def test_no_chunk_reaches_out_of_its_section() -> None:
    sections = [Section(0, 2, ("A",)), Section(2, 6, ("B",))]
    assert chunk_sections("a b c ", sections, SplitterSpec("recursive", 8), Letters()) == [
        Chunk(0, 1, 1, ("A",)),
        Chunk(2, 5, 3, ("B",)),
    ]


def test_the_first_chunk_has_its_own_prefix_and_the_others_the_whole() -> None:
    section = Section(0, 20, (), "A\n", "A>B\n")
    assert _chunks("one. two. six. ten. ", section, 16, Letters()) == [
        Chunk(0, 14, 16, (), "A\n"),
        Chunk(15, 19, 8, (), "A>B\n"),
    ]


def test_where_a_chunk_is_cut_again_only_its_first_part_is_the_first_chunk() -> None:
    section = Section(0, 20, (), "A\n", "B\n")
    chunks = _chunks("aaaa bbbb cccc dddd ", section, 12, Clinging())
    assert [chunk.prefix for chunk in chunks] == ["A\n", *["B\n"] * (len(chunks) - 1)]
    assert len(chunks) > 1


def test_a_grapheme_that_fits_only_without_its_prefix_goes_without() -> None:
    assert _chunks("e" + "\u0301" * 6, Section(0, 7, (), "A\n", "A\n"), 8, Letters()) == [Chunk(0, 7, 7)]


def test_a_table_keeps_whole_even_where_its_heading_then_stands_alone() -> None:
    text = "# A river\n\n" + "|a. b|\n" * 8
    section = Section(0, len(text), wholes=((11, len(text), ""),), body=11)
    spans = [(chunk.start, chunk.end) for chunk in _chunks(text, section, 60, Letters())]
    assert spans == [(0, 9), (11, len(text) - 1)]


def test_a_heading_takes_some_of_what_stands_below_it_along() -> None:
    text = "# A river of some length\n\n" + "A river. " * 9
    section = Section(0, len(text), body=26)
    first = _chunks(text, section, 40, Letters())[0]
    assert text[first.start : first.end] == "# A river of some length\n\nA river."


def test_a_heading_over_the_bound_does_not_shred_the_prose_below() -> None:
    text = "# " + "long " * 8 + "\n\n" + "A river. " * 4
    spans = [
        (chunk.start, chunk.end) for chunk in _chunks(text, Section(0, len(text), body=44), 8, Quarters())
    ]
    assert spans == [(0, 31), (32, 61), (62, len(text) - 1)]
