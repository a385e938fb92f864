"""Figures that tell splitters apart."""

import pytest
from hypothesis import given

from pipeline.analysis.boundaries import Page
from pipeline.analysis.splitters import BINS, Kept, Tally, sizes
from pipeline.model import Chunk
from pipeline.splitter_spec import SplitterSpec
from pipeline.splitting import make
from tests.pipeline.splitting.support import Letters, Quarters, specs, texts

TEN = SplitterSpec("recursive", max_characters=10)
FENCE = "```\nab\n```"  # 10 characters
TABLE = "|a|b|\n|-|-|\n|1|2|"  # 17 characters, 4 to 5 tokens of four characters


def test_sizes_are_of_the_embedded_text_in_the_bounds_unit() -> None:
    chunks = [Chunk(0, 10, 7, ("A",), "A\n\n"), Chunk(10, 14, 2)]
    assert sizes(chunks, SplitterSpec()) == [7, 2]
    assert sizes(chunks, SplitterSpec(max_characters=100)) == [13, 4]


def test_figures_are_added_up_over_texts() -> None:
    tally = Tally(TEN, Letters())
    tally.add(Page.of("One. Two.\n\nThree, four."), [Chunk(0, 9, 9), Chunk(11, 17, 6), Chunk(18, 23, 5)])
    tally.add(Page.of("abcdefghijkl"), [Chunk(0, 12, 12)])
    figures = tally.figures()
    assert (figures.chunks, figures.median, figures.largest, figures.over_bound) == (4, 6, 12, 1)
    assert figures.utilisation == 0.8
    assert figures.histogram == (0, 0, 0, 0, 1, 1, 0, 0, 1, 0)
    assert figures.boundaries == 2
    assert {level: share for level, share in figures.ends.items() if share} == {
        "paragraph": 0.5,
        "clause": 0.5,
    }


def test_the_end_of_a_text_is_no_boundary_that_a_splitter_chose() -> None:
    tally = Tally(TEN, Letters())
    tally.add(Page.of("One"), [Chunk(0, 3, 3)])
    assert tally.figures().boundaries == 0
    assert set(tally.figures().ends.values()) == {0.0}


def test_the_bound_itself_is_in_the_last_bin_and_more_is_in_none() -> None:
    tally = Tally(SplitterSpec(max_tokens=20), Letters())
    tally.add(
        Page.of("x" * 63),
        [Chunk(0, 1, 1), Chunk(1, 3, 2), Chunk(3, 23, 20), Chunk(23, 44, 21), Chunk(44, 63, 19)],
    )
    assert tally.figures().histogram == (2, 0, 0, 0, 0, 0, 0, 0, 0, 2)
    assert tally.figures().over_bound == 1


@pytest.mark.parametrize(
    ("bound", "prefix", "kept"),
    [(9, "", Kept(0, 0)), (10, "", Kept(1, 1)), (10, "A\n\n", Kept(1, 0)), (13, "A\n\n", Kept(1, 1))],
)
def test_a_fence_is_broken_needlessly_where_it_fits_beside_what_is_embedded_before_it(
    bound: int, prefix: str, kept: Kept
) -> None:
    tally = Tally(SplitterSpec("recursive", max_characters=bound), Letters())
    chunks = [Chunk(0, 6, 6, (), prefix), Chunk(7, 10, 3, (), prefix)]
    tally.add(Page.of(FENCE), chunks)
    assert tally.figures().fences == kept


def test_the_header_that_a_broken_tables_pieces_repeat_does_not_excuse_it() -> None:
    page = Page.of(TABLE)
    chunks = [Chunk(0, 11, 11), Chunk(12, 17, 5, (), "|a|b|\n")]
    broken = Tally(SplitterSpec("recursive", max_characters=17), Letters()).broken(page, chunks)
    assert [(one.stretch.kind, one.size, one.fits) for one in broken] == [("table", 17, True)]


def test_what_fits_is_measured_in_tokens_where_they_are_the_bound() -> None:
    tally = Tally(SplitterSpec("recursive", max_tokens=8), Quarters())
    tally.add(Page.of(TABLE), [Chunk(0, 11, 3), Chunk(12, 17, 2)])
    assert tally.figures().tables == Kept(1, 1)


def test_headings_are_counted_and_so_are_those_left_alone() -> None:
    tally = Tally(TEN, Letters())
    tally.add(Page.of("# A\n\ntext\n\n# B\n\nmore"), [Chunk(0, 9, 9), Chunk(11, 14, 3), Chunk(16, 20, 4)])
    assert tally.figures().headings == Kept(2, 1)


def test_nothing_cut_comes_to_nothing() -> None:
    figures = Tally(TEN, Letters()).figures()
    assert (figures.chunks, figures.median, figures.largest, figures.utilisation) == (0, 0, 0, 0.0)
    assert figures.record()["fences"] == {"fit": 0, "broken": 0}


@given(text=texts, spec=specs())
def test_figures_add_up_whatever_the_text(text: str, spec: SplitterSpec) -> None:
    chunks = make(spec, Letters()).split(text)
    tally = Tally(spec, Letters())
    tally.add(Page.of(text), chunks)
    figures = tally.figures()
    assert len(figures.histogram) == BINS
    assert sum(figures.histogram) + figures.over_bound == figures.chunks == len(chunks)
    assert figures.boundaries == max(0, len(chunks) - 1)
    assert sum(figures.ends.values()) == pytest.approx(1 if figures.boundaries else 0, abs=1e-3)
    for kept in (figures.headings, figures.fences, figures.tables):
        assert 0 <= kept.broken <= kept.fit
