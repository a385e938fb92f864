"""The Markdown splitter: what becomes one chunk, under which headings, with which prefix."""

import pytest
from hypothesis import given, settings

from pipeline.model import Chunk
from pipeline.splitter_spec import SplitterSpec
from pipeline.splitting import make
from pipeline.splitting.markdown import MarkdownSplitter
from pipeline.splitting.prose import plain_lines
from pipeline.splitting.structure import read_structure
from tests.pipeline.splitting.support import Letters, Quarters, Words, checked, parsed, specs, split, texts
from tests.support import corpus


def _chunks(text: str, tokens: int = 64, *, prefix: bool = True, overlap: int = 0) -> list[Chunk]:
    spec = SplitterSpec("markdown", tokens, overlap, prefix)
    return checked(text, spec, Letters())


def _paths(text: str, tokens: int = 64) -> list[tuple[str, ...]]:
    return [chunk.heading_path for chunk in _chunks(text, tokens)]


def test_each_section_is_a_chunk_under_the_path_of_its_headings() -> None:
    text = (
        "Before.\n\n# Rivers\n\nWater.\n\n## 川\n\n水。\n\n"
        "### Mouth\n\nSea.\n\n## Lakes\n\nStill.\n\n# End\n\nBye.\n"
    )
    assert [(chunk.heading_path, text[chunk.start : chunk.end]) for chunk in _chunks(text)] == [
        ((), "Before."),
        (("Rivers",), "# Rivers\n\nWater."),
        (("Rivers", "川"), "## 川\n\n水。"),
        (("Rivers", "川", "Mouth"), "### Mouth\n\nSea."),
        (("Rivers", "Lakes"), "## Lakes\n\nStill."),
        (("End",), "# End\n\nBye."),
    ]


def test_a_level_may_be_left_out_and_an_empty_title_leaves_no_trace() -> None:
    assert _paths("# A\n\na\n\n#### B\n\nb\n\n## C\n\nc\n\n##\n\nd\n") == [
        ("A",),
        ("A", "B"),
        ("A", "C"),
        ("A",),
    ]


def test_underlined_headings_make_paths_too() -> None:
    assert _paths("川\n====\n\n水。\n\nMouth {#m}\n-----\n\nSea.\n") == [("川",), ("川", "Mouth")]


def test_headings_above_the_first_words_join_one_chunk() -> None:
    text = "# Rivers\n\n## 川\n\n### Mouth\n\nSea.\n"
    assert [(chunk.heading_path, text[chunk.start : chunk.end]) for chunk in _chunks(text)] == [
        (("Rivers", "川", "Mouth"), text.rstrip())
    ]


def test_a_heading_without_words_of_its_own_joins_the_next_ones_chunk() -> None:
    text = "# A\n\n## B\n\n## C\n\nc\n\n### D\n\n## E\n\ne\n"
    assert [(chunk.heading_path, chunk.prefix, text[chunk.start : chunk.end]) for chunk in _chunks(text)] == [
        (("A", "C"), "", "# A\n\n## B\n\n## C\n\nc"),
        (("A", "E"), "A\n\n", "### D\n\n## E\n\ne"),
    ]


def test_comments_in_code_do_not_change_the_path() -> None:
    text = "# Setup\n\n```sh\n# Step 1\nrun\n```\n\n- then\n  ```sh\n  # Step 2\n  ```\n\nDone.\n"
    assert set(_paths(text)) == {("Setup",)}


def test_the_headings_above_go_before_a_chunk_and_its_own_only_where_its_text_lacks_them() -> None:
    text = "# Rivers\n\nWater.\n\n## 川\n\n" + "A river is long. " * 4
    assert [(chunk.prefix, text[chunk.start : chunk.end]) for chunk in _chunks(text, 60)] == [
        ("", "# Rivers\n\nWater."),
        ("Rivers\n\n", "## 川\n\nA river is long. A river is long."),
        ("Rivers > 川\n\n", "A river is long. A river is long."),
    ]


def test_a_section_that_holds_all_its_headings_has_no_prefix() -> None:
    assert [chunk.prefix for chunk in _chunks("# Rivers\n\n## 川\n\n水。\n")] == [""]


def test_tokens_count_what_is_embedded() -> None:
    text = "# Rivers\n\nWater.\n\n## 川\n\n水。\n"
    with_headings, without = _chunks(text)[1], _chunks(text, prefix=False)[1]
    assert (with_headings.prefix, with_headings.tokens) == ("Rivers\n\n", len("Rivers\n\n## 川\n\n水。"))
    assert (without.prefix, without.tokens) == ("", len("## 川\n\n水。"))
    assert with_headings.heading_path == without.heading_path == ("Rivers", "川")


def test_a_prefix_over_a_quarter_of_the_bound_is_left_out() -> None:
    below = "## B\n\nb"
    assert [chunk.prefix for chunk in _chunks("# 1234567890\n\na\n\n" + below, 48)] == ["", "1234567890\n\n"]
    assert [chunk.prefix for chunk in _chunks("# 1234567890\n\na\n\n" + below, 47)] == ["", ""]


def test_a_title_longer_than_the_bound_is_cut_like_any_text() -> None:
    text = "# " + "川の話" * 100 + "\n\n水。\n\n## Mouth\n\nSea.\n"
    chunks = _chunks(text, 64)
    assert chunks[-1].heading_path == (("川の話" * 100)[:199] + "…", "Mouth")
    assert {chunk.prefix for chunk in chunks} == {""}


@given(texts, specs())
@settings(max_examples=150, deadline=None)
def test_prefixes_leave_three_quarters_for_the_text(text: str, spec: SplitterSpec) -> None:
    for chunk in make(spec, Quarters()).split(text):
        assert Quarters().count([chunk.prefix])[0] <= spec.max_tokens // 4
        shown = " > ".join(chunk.heading_path)
        assert shown.startswith(chunk.prefix.rstrip("\n"))


_TABLE = "| river | km |\n|-------|---:|\n" + "".join(f"| 川 {at} | {at * 10} |\n" for at in range(10, 16))
_FENCE = '~~~py\n# 川\nprint("It flows. It is wet.")\n\n\n# end\n~~~\n'


@pytest.mark.parametrize("block", [_TABLE, _FENCE, "- ```py\n  # 川\n\n  x. y\n  ```\n"])
def test_a_table_or_a_fence_is_whole_where_it_fits(block: str) -> None:
    text = (
        f"# Rivers\n\nSome words before it. And more of them.\n\n{block}\nSome words behind it. And more.\n"
    )
    for tokens in range(len(block) + 13, len(block) + 40):
        assert any(block.rstrip() in chunk for chunk in split(text, Letters(), "markdown", tokens))


def test_a_whole_that_fits_is_not_broken_for_what_the_chunk_before_it_would_share() -> None:
    text = f"# Rivers\n\n{'Some words. ' * 8}\n\n{_FENCE}"
    spec = SplitterSpec(
        "markdown", max_characters=len(_FENCE) + 5, overlap_characters=20, prefix_headings=False
    )
    assert text[slice(*checked(text, spec, Letters())[-1][:2])] == _FENCE.rstrip()
    assert [chunk[:2] for chunk in make(spec, Letters()).split(text)] == MarkdownSplitter(
        spec, Letters()
    ).spans(text)


def test_a_table_that_does_not_fit_is_broken_at_its_rows() -> None:
    chunks = split(_TABLE, Letters(), "markdown", 50)
    assert [line for chunk in chunks for line in chunk.split("\n")] == _TABLE.splitlines()
    assert len(chunks) > 2


def test_a_padded_table_is_measured_by_its_tokens_not_by_its_width() -> None:
    row = "| a" + " " * 300 + "| b" + " " * 300 + "|\n"
    table = row + "|---|---|\n" + row * 4
    text = f"Eight words go before the table, in all.\n\n{table}\nEnd.\n"
    assert split(text, Words(), "markdown", 32) == [
        "Eight words go before the table, in all.",
        f"{table}\nEnd.",
    ]


def test_a_fence_that_does_not_fit_is_broken_at_its_blank_lines_then_at_its_lines() -> None:
    fence = "```py\nimport a. b\n\ndef f():\n    return 1\n\ndef g():\n    return 22222\n```\n"
    assert split(fence, Letters(), "markdown", 32) == [
        "```py\nimport a. b",
        "def f():\n    return 1",
        "def g():\n    return 22222\n```",
    ]


def test_an_unclosed_fence_loses_nothing() -> None:
    text = "# A\n\n```py\nx = 1\n\n# no heading\ny = 2\n"
    assert split(text, Letters(), "markdown", 64) == [text.rstrip()]
    assert _paths(text + "z = 3\n" * 30)[-1] == ("A",)


def test_a_list_that_does_not_fit_is_broken_between_its_items() -> None:
    items = [f"- Item {at} is here. It is one.\n" for at in range(6)]
    assert split("".join(items), Letters(), "markdown", 64) == [
        "".join(items[at : at + 2]).rstrip() for at in (0, 2, 4)
    ]


def test_details_keep_their_words_under_the_heading() -> None:
    text = "# 川\n\n<details>\n<summary>More</summary>\n\nWater.\n\n</details>\n\n<!-- # no -->\n"
    assert split(text, Letters(), "markdown", 128) == [text.rstrip()]


def test_front_matter_is_a_chunk_without_headings() -> None:
    text = "---\ntitle: 川\n# comment\n---\n\n# Rivers\n\nWater.\n"
    assert [(chunk.heading_path, text[chunk.start : chunk.end]) for chunk in _chunks(text)] == [
        ((), "---\ntitle: 川\n# comment\n---"),
        (("Rivers",), "# Rivers\n\nWater."),
    ]


def test_prose_under_a_heading_is_cut_rather_than_leave_the_heading_alone() -> None:
    text = "## Mouth\n\nA river ends in a sea. Or in a lake. Or it dries out.\n"
    assert split(text, Letters(), "markdown", 56, prefix_headings=False) == [
        "## Mouth\n\nA river ends in a sea. Or in a lake.",
        "Or it dries out.",
    ]


def test_wrapped_prose_is_cut_at_a_sentence_and_not_at_a_line() -> None:
    text = "A river ends in\na sea. Or it ends\nin a lake. Or it\ndries out.\n"
    assert split(text, Letters(), "markdown", 30) == [
        "A river ends in\na sea.",
        "Or it ends\nin a lake.",
        "Or it\ndries out.",
    ]


def test_overlap_stays_within_its_section() -> None:
    text = "# A\n\nOne is. Two is. Six is. Ten is.\n\n# B\n\nOne is. Two is.\n"
    assert split(text, Letters(), "markdown", 24, 8, prefix_headings=False) == [
        "# A\n\nOne is. Two is.",
        "Two is. Six is. Ten is.",
        "# B\n\nOne is. Two is.",
    ]


def test_plain_text_is_one_section() -> None:
    assert split("雨が降る。" * 12, Letters(), "markdown", 20) == ["雨が降る。" * 4] * 3
    assert _paths("雨が降る。" * 12, 20) == [(), (), ()]


def test_a_broken_tables_later_pieces_have_its_header_before_what_is_embedded() -> None:
    text = "# 川\n\n" + _TABLE
    chunks = make(SplitterSpec("markdown", max_characters=75), Letters()).split(text)
    assert [chunk.prefix for chunk in chunks] == ["", "川\n\n| river | km |\n", "川\n\n| river | km |\n"]
    assert [text[chunk.start : chunk.end].startswith("| 川") for chunk in chunks] == [False, True, True]
    plain = make(SplitterSpec("markdown", max_characters=75, repeat_table_header=False), Letters()).split(
        text
    )
    assert {chunk.prefix for chunk in plain} == {"", "川\n\n"}


def test_small_neighbours_under_one_parent_are_joined_when_asked() -> None:
    text = "# A\n\na\n\n## B\n\nb\n\n## C\n\nc\n\n# D\n\n## E\n\ne\n"

    def joined(tokens: int) -> list[tuple[tuple[str, ...], str]]:
        chunks = checked(text, SplitterSpec("markdown", tokens, join_sections=True), Letters())
        return [(chunk.heading_path, text[chunk.start : chunk.end]) for chunk in chunks]

    assert joined(32) == [
        (("A",), "# A\n\na\n\n## B\n\nb\n\n## C\n\nc"),
        (("D", "E"), "# D\n\n## E\n\ne"),
    ]
    assert joined(18) == [
        (("A",), "# A\n\na\n\n## B\n\nb"),
        (("A", "C"), "## C\n\nc"),
        (("D", "E"), "# D\n\n## E\n\ne"),
    ]


def test_whole_chapters_are_neighbours_but_not_what_is_left_of_one() -> None:
    text = "# A\n\na\n\n# B\n\n" + "Bees buzz. " * 6 + "\n\n## C\n\nc\n\n# D\n\nd\n"
    chunks = checked(text, SplitterSpec("markdown", max_characters=50, join_sections=True), Letters())
    found = [(chunk.heading_path, text[chunk.start : chunk.end]) for chunk in chunks]
    assert found[0] == (("A",), "# A\n\na")
    assert found[-2:] == [(("B",), "Bees buzz. Bees buzz. \n\n## C\n\nc"), (("D",), "# D\n\nd")]
    short = "# A\n\na\n\n# B\n\nb\n"
    [whole] = checked(short, SplitterSpec("markdown", 64, join_sections=True), Letters())
    assert (whole.heading_path, whole.end) == ((), len(short) - 1)


@pytest.mark.parametrize("name", ["docs-en-rust-rfcs/rfcs.parquet", "docs-ja-vue/vue-ja.parquet"])
def test_headings_fences_and_tables_are_those_of_a_markdown_parser(name: str) -> None:
    for text in corpus(name)["text"].to_pylist()[:80]:
        scan = plain_lines(text)
        body, headings, wholes = read_structure(scan)
        expected, blocks = parsed(scan[body:])
        assert [(start - body, level) for start, _, level, _ in headings] == expected
        for start, end in blocks:
            inside = [whole for whole in wholes if whole[0] - body <= start and end <= whole[1] - body]
            assert inside, scan[body + start : body + end]
