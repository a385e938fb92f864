"""The pages that the package carries come out as a reader would cut them."""

import re
from pathlib import Path

import pytest

from pipeline.splitter_spec import SplitterSpec
from pipeline.splitting.structure import read_structure
from pipeline.tokens import LocalTokens
from tests.pipeline.splitting.support import checked

_SAMPLES = Path(__file__).parents[3] / "flows" / "samples"
_PAGES = sorted(_SAMPLES.rglob("*.md"))
_SENTENCE_END = re.compile(r"[.!?。！？:：][^\w\s]*(?: ?[^\w\s]+)?$")  # an emoji may follow
_HEADINGS_ALONE = re.compile(r"(?:#{1,6}[^\n]*\s*)+")


def _read(page: Path) -> str:
    return page.read_bytes().decode()


_each_page = pytest.mark.parametrize("page", _PAGES, ids=lambda page: f"{page.parent.name}/{page.stem}")


@_each_page
@pytest.mark.parametrize("spec", [SplitterSpec(), SplitterSpec("markdown", 96, 24)])
def test_every_page_holds_with_the_embedded_models_tokens(page: Path, spec: SplitterSpec) -> None:
    assert checked(_read(page), spec, LocalTokens())


@_each_page
def test_no_chunk_is_a_heading_alone_but_before_a_table_that_fills_the_next(page: Path) -> None:
    text = _read(page)
    tables = {start for start, _, _ in read_structure(text).wholes}
    for chunk in checked(text, SplitterSpec(), LocalTokens()):
        own = text[chunk.start : chunk.end]
        behind = len(text) - len(text[chunk.end :].lstrip())
        assert not _HEADINGS_ALONE.fullmatch(own) or behind in tables
        assert bool(chunk.heading_path) != own.startswith("---\n")


@_each_page
def test_tables_and_code_are_whole_where_they_fit(page: Path) -> None:
    text, counter = _read(page), LocalTokens()
    chunks = checked(text, SplitterSpec(), counter)
    for start, end, _ in read_structure(text).wholes:
        own = text[start:end].rstrip()
        # What is embedded with it can be a prefix of up to a quarter of the bound.
        if counter.count([own])[0] <= 192:
            assert any(chunk.start <= start and start + len(own) <= chunk.end for chunk in chunks)


@_each_page
def test_a_chunk_that_ends_within_prose_ends_with_a_sentence(page: Path) -> None:
    text = _read(page)
    chunks = checked(text, SplitterSpec(), LocalTokens())
    for chunk in chunks:
        own, behind = text[chunk.start : chunk.end], text[chunk.end :]
        verbatim = any(start < chunk.end < end for start, end, _ in read_structure(text).wholes)
        if not verbatim and behind.strip() and not behind.startswith("\n"):
            assert _SENTENCE_END.search(own)


def test_the_telescopes_page_has_its_sections() -> None:
    text = _read(_SAMPLES / "en" / "telescope.md")
    chunks = checked(text, SplitterSpec(), LocalTokens())
    top, kaede, mugi = "The telescopes", "Kaede, the 80 cm reflector", "Mugi, the 35.5 cm in the hut"
    assert [chunk.heading_path for chunk in chunks] == [
        (),
        (top,),
        (top, kaede),
        (top, kaede, "Pointing limits"),
        (top, kaede, "Camera and eyepieces"),
        (top, mugi),
        (top, mugi, "Keeping the corrector plate dry"),
        (top, "Hinata, the solar telescope"),
        (top, "Starting and ending a night"),
        (top, "Starting and ending a night", "When focus drifts"),
    ]
    assert chunks[3].embedded(text).startswith(f"{top} > {kaede}\n\n### Pointing limits\n\nThe fork mount")


def test_shell_comments_of_the_japanese_scripts_page_are_no_headings() -> None:
    text = _read(_SAMPLES / "ja" / "calibration-scripts.md")
    titles = {title for chunk in checked(text, SplitterSpec(), LocalTokens()) for title in chunk.heading_path}
    assert titles == {
        "較正スクリプト",
        "必要なフレーム",
        "バイアス",
        "ダーク",
        "フラット",
        "マスターバイアスを作る",
        "朝の一括処理",
        "設定",
        "結果がおかしいとき",
    }
