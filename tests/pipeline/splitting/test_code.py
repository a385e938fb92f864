"""The code splitter: definitions whole where they fit, cut between their members where not."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.splitter_spec import SplitterSpec
from pipeline.splitting import make
from pipeline.splitting.languages import language_of, named_language
from tests.pipeline.splitting.support import Letters, check_chunks

_PYTHON = '''\
"""What it is."""

import os


# Points it.
@cached
def point(at: int) -> None:
    print("川", at)


class Telescope:
    """A telescope."""

    def slew(self) -> None:
        self.moving = True

    def park(self) -> None:
        self.moving = False
'''


def _cut(
    text: str, size: int, language: str = "python", **changes: bool
) -> list[tuple[tuple[str, ...], str]]:
    spec = SplitterSpec("code", max_characters=size, language=language, **changes)  # type: ignore[arg-type]
    chunks = make(spec, Letters()).split(text)
    return [(chunk.heading_path, text[chunk.start : chunk.end]) for chunk in chunks]


def test_a_definition_stays_whole_with_its_decorators_and_comments() -> None:
    chunks = [chunk for _, chunk in _cut(_PYTHON, 100)]
    assert any(
        '# Points it.\n@cached\ndef point(at: int) -> None:\n    print("川"' in chunk for chunk in chunks
    )


def test_a_class_that_does_not_fit_is_cut_between_its_members_which_know_its_name() -> None:
    chunks = _cut(_PYTHON, 90)
    slew = next((path, chunk) for path, chunk in chunks if "def slew" in chunk)
    park = next((path, chunk) for path, chunk in chunks if "def park" in chunk)
    assert slew[0][0] == park[0][0] == "class Telescope"
    assert "self.moving = True" in slew[1]
    assert "self.moving = False" in park[1]


def test_small_definitions_share_a_chunk() -> None:
    assert len(_cut(_PYTHON, 1000)) == 1


def test_code_of_no_known_language_is_cut_at_lines() -> None:
    text = "first line\nsecond line\nthird line\n"
    assert [chunk for _, chunk in _cut(text, 24, language="")] == ["first line\nsecond line", "third line"]


def test_an_unknown_language_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="python"):
        make(SplitterSpec("code", language="klingon"), Letters())


def test_a_files_name_tells_its_language() -> None:
    assert (language_of("a/b.py"), language_of("c.js"), language_of("README")) == ("python", "javascript", "")


@pytest.mark.parametrize(
    "path", sorted(Path(__file__).parents[3].glob("pipeline/splitting/*.py")), ids=lambda p: p.name
)
def test_our_own_source_is_cut_exactly_and_completely(path: Path) -> None:
    text = path.read_text("utf-8")
    spec = SplitterSpec("code", max_characters=400, overlap_characters=40, language="python")
    chunks = make(spec, Letters()).split(text)
    assert chunks
    check_chunks(text, chunks, spec, Letters())


_parts = st.sampled_from(
    [
        "def f():\n",
        "class A:\n",
        "    pass\n",
        "\tx = 1\n",
        "(",
        ")",
        '"""',
        "# 川\n",
        "\n",
        "\r\n",
        "@d\n",
        "if x:\n",
        "\udc80",
        "é",
        "\0",
    ]
)


@given(st.lists(_parts, max_size=40).map("".join), st.integers(8, 60))
@settings(max_examples=150, deadline=None)
def test_broken_code_loses_nothing(text: str, size: int) -> None:
    spec = SplitterSpec("code", max_characters=size, language="python")
    check_chunks(text, make(spec, Letters()).split(text), spec, Letters())


def test_ten_thousand_brackets_within_one_another_are_no_recursion() -> None:
    text = "x = " + "(" * 10_000 + ")" * 10_000 + "\n"
    assert "".join(chunk for _, chunk in _cut(text, 500)).replace("x=", "x = ") == text.rstrip()


@pytest.mark.parametrize(
    "text", ["(" * 5000, "a<" * 5000, "=" * 5000 + "\n"], ids=["brackets", "less", "equal"]
)
def test_text_nested_deeper_than_any_code_is_cut_without_a_syntax_tree(text: str) -> None:
    assert named_language("python").parse(text.encode()) is None
    pieces = _cut(text, 100)
    assert "".join(piece for _, piece in pieces) == text.strip()
