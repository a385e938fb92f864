"""Sections: prefixes, bounds and what gives way where something does not fit."""

from pipeline.model import Chunk, SplitterSpec
from pipeline.ports import TokenCounter
from pipeline.splitting.sections import Section, Stretch, chunk_sections
from tests.pipeline.splitting.support import Clinging, Letters, Quarters


def _chunks(text: str, section: Section, most: int, counter: TokenCounter) -> list[Chunk]:
    return chunk_sections(text, [section], SplitterSpec("recursive", most), counter)


def test_no_section_gives_no_chunk() -> None:
    assert chunk_sections("", [], SplitterSpec(), Letters()) == []


def test_no_chunk_reaches_out_of_its_section() -> None:
    sections = [Section((Stretch(0, 2),), ("A",)), Section((Stretch(2, 4), Stretch(4, 6)), ("B",))]
    assert chunk_sections("a b c ", sections, SplitterSpec("recursive", 8), Letters()) == [
        Chunk(0, 1, 1, ("A",)),
        Chunk(2, 5, 3, ("B",)),
    ]


def test_the_first_chunk_has_its_own_prefix_and_the_others_the_whole() -> None:
    section = Section((Stretch(0, 15),), (), "A\n", "A>B\n", 4)
    assert _chunks("one. two. six. ", section, 14, Letters()) == [
        Chunk(0, 9, 11, (), "A\n"),
        Chunk(10, 14, 8, (), "A>B\n"),
    ]


def test_where_a_run_is_halved_only_its_first_half_is_the_first_chunk() -> None:
    section = Section((Stretch(0, 20),), (), "A\n", "B\n", 1)
    assert _chunks("aaaa bbbb cccc dddd ", section, 16, Clinging()) == [
        Chunk(0, 9, 6, (), "A\n"),
        Chunk(10, 19, 6, (), "B\n"),
    ]


def test_a_grapheme_that_fits_only_without_its_prefix_goes_without() -> None:
    text = "e" + "\u0301" * 6
    assert _chunks(text, Section((Stretch(0, 7),), (), "A\n", "A\n", 2), 8, Letters()) == [Chunk(0, 7, 7)]


def test_a_table_keeps_whole_even_where_its_heading_then_stands_alone() -> None:
    text = "# A river\n\n" + "|a. b|\n" * 8
    stretches = (Stretch(0, 11, is_heading=True), Stretch(11, len(text), by_lines=True))
    spans = [(chunk.start, chunk.end) for chunk in _chunks(text, Section(stretches), 60, Letters())]
    assert spans == [(0, 9), (11, len(text) - 1)]


def test_a_heading_over_half_of_the_bound_does_not_shred_the_prose_below() -> None:
    text = "# " + "long " * 8 + "\n\n" + "A river. " * 4
    stretches = (Stretch(0, 44, is_heading=True), Stretch(44, len(text)))
    spans = [(chunk.start, chunk.end) for chunk in _chunks(text, Section(stretches), 12, Quarters())]
    assert spans == [(0, 41), (44, len(text) - 1)]
