"""Parts of a long text: what comes of them one after another is what comes of the whole."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.splitter_spec import SplitterSpec
from pipeline.splitting.markdown import Paths, sections_of
from pipeline.splitting.parts import SIZE, Part, parts, spans_in_parts
from pipeline.splitting.prose import FIXED, PROSE, SENTENCES, Style, plain_lines
from pipeline.splitting.rulers import Characters
from pipeline.splitting.structure import read_structure, title_of
from pipeline.splitting.windows import Bounds, Windows
from tests.pipeline.splitting.support import cpu_seconds, texts

_SPEC = SplitterSpec("markdown")
_FRONT = "---\n# a comment\nkey: 川\n---\n"


def _sections(found: list[Part]) -> list[tuple[Any, ...]]:
    """All sections, in the places of the whole text."""
    paths = Paths(title_of, prefixed=True)
    return [
        (
            part.start + one.start,
            part.start + one.end,
            one.heading_path,
            one.first_prefix,
            one.prefix,
            [(part.start + start, part.start + end, header) for start, end, header in one.wholes],
            one.body and part.start + one.body,
        )
        for part in found
        for one in sections_of(part.scan, part.structure, _SPEC, paths)
    ]


@given(texts, st.integers(1, 200))
@settings(max_examples=400, deadline=None)
@example(_FRONT + "# A\n\na\n\n# B\n\nb\n", 20)
@example("x\n\n# A\n\n## B\n\n## C\n\nc\n\n#\n\nd\n", 12)
@example("# A\n\n```\n# no heading\n" + "# none\n" * 9 + "```\n# B\n\nb\n", 40)
@example("# A\n\n- item\n  - nested\n\n    # in it\n\n# B\n\nb\n\nc\n===\n\n# D\n\nd\n", 30)
@example("a\r\n# A\r\n\r\na\r\n# B\r\n\r\nb\r\n", 16)
def test_the_sections_of_all_parts_are_those_of_the_whole(text: str, size: int) -> None:
    found = list(parts(text, size))
    assert "".join(part.text for part in found) == text
    assert [part.scan for part in found] == [plain_lines(part.text) for part in found]
    assert _sections(found) == _sections(
        [Part(0, text, plain_lines(text), read_structure(plain_lines(text)))]
    )


def test_a_part_ends_before_a_heading_and_is_about_as_long_as_asked_for() -> None:
    text = "".join(f"# Rivers {number}\n\n水 flows.\n\n" for number in range(1000))
    found = list(parts(text, 500))
    assert len(found) > len(text) // 500
    assert max(len(part.text) for part in found) <= 500
    assert all(part.text.startswith("# Rivers") for part in found)


def test_what_no_heading_parts_is_one_part() -> None:
    text = "水 flows.\n" * 100_000
    assert len(text) > 4 * SIZE
    assert [part.text for part in parts(text)] == [text]


@pytest.mark.parametrize(
    "unit", ["water\n", "# heading\n", "```\n", "x", " ", "\u0301", "# a\n\nx\n\n", "x. ", "<!--\n"]
)
def test_sixteen_times_the_text_in_parts_takes_less_than_forty_times_the_time(unit: str) -> None:
    def cut(text: str) -> None:
        list(parts(text, 64))
        spans_in_parts(text, PROSE, 16, 64)

    small, large = (unit * (size // len(unit)) for size in (6_000, 96_000))
    # The best of some tries: the clock also shows what else the machine does.
    assert any(cpu_seconds(cut, large) < 40 * cpu_seconds(cut, small) for _ in range(8))


@pytest.mark.parametrize("style", [PROSE, SENTENCES, FIXED])
@given(texts, st.integers(1, 40), st.integers(1, 60))
@settings(max_examples=300, deadline=None)
@example("1. Water.\r\n\r\n2. 水。 " * 30, 13, 1)
@example("a" + "\u0301" * 500 + " b " * 40, 8, 1)
@example("word" + " " * 400 + "word. " * 60, 8, 1)
def test_the_chunks_of_plain_text_in_parts_are_those_of_the_whole(
    style: Style, text: str, bound: int, size: int
) -> None:
    whole = Windows(text, plain_lines(text), Characters(), style).cut(0, len(text), Bounds(bound, bound))
    assert spans_in_parts(text, style, bound, size) == whole
