"""The block structure, case by case; the headings' cases are CommonMark's and GitHub's."""

import pytest
from hypothesis import given, settings

from pipeline.splitting.blocks import read_blocks
from tests.pipeline.splitting.support import texts


def _headings(text: str) -> list[tuple[int, str]]:
    return [(block.level, block.title) for block in read_blocks(text) if block.kind == "heading"]


def _kinds(text: str) -> list[tuple[str, str]]:
    return [(block.kind, text[block.start : block.end]) for block in read_blocks(text)]


@given(texts)
@settings(max_examples=300, deadline=None)
def test_blocks_follow_each_other_without_a_gap_to_the_end(text: str) -> None:
    blocks = list(read_blocks(text))
    reached = blocks[0].start if blocks else len(text)
    assert text[:reached].strip("\ufeff").strip() == ""
    for block in blocks:
        assert block.start == reached < block.end
        reached = block.end
    assert reached == len(text)


@given(texts)
@settings(max_examples=200, deadline=None)
def test_windows_line_ends_change_nothing_but_offsets(text: str) -> None:
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    assert _headings(plain.replace("\n", "\r\n")) == _headings(plain)
    assert [kind for kind, _ in _kinds(plain.replace("\n", "\r\n"))] == [kind for kind, _ in _kinds(plain)]


@pytest.mark.parametrize(
    ("text", "headings"),
    [
        ("# Rivers", [(1, "Rivers")]),
        ("   ###### 川の話", [(6, "川の話")]),
        ("    # code", []),
        ("\t# code", []),
        ("#tag\n\n####### seven\n\n\\# escaped", []),
        ("#\n\n##   \n", [(1, ""), (2, "")]),
        ("## Rivers ##\n", [(2, "Rivers")]),
        ("## Rivers #########   \n", [(2, "Rivers")]),
        ("## C#\n", [(2, "C#")]),
        ("## Rivers \\#\n", [(2, "Rivers \\#")]),
        ("### ###\n", [(3, "")]),
        ("#\tRivers\t#\n", [(1, "Rivers")]),
        ("\ufeff# 川\n", [(1, "川")]),
        ("text\n# 川\ntext", [(1, "川")]),
        ("> # quoted\n\n- # in a list", []),
        ("- item\n\n  # in it\n\n # 川\n", [(1, "川")]),
        ("-   item\n\n  # 川\n", [(1, "川")]),
        ("12. item\n\n   # 川\n", [(1, "川")]),
        ("-      code\n\n  # in it\n", []),
    ],
)
def test_headings_with_hashes_are_found(text: str, headings: list[tuple[int, str]]) -> None:
    assert _headings(text) == headings


@pytest.mark.parametrize(
    ("line", "title"),
    [
        ("# First steps {#first}", "First steps"),
        ("# First steps { #first }", "First steps"),
        ("# はじめに {#intro .wide}", "はじめに"),
        ("# First steps {: #first }", "First steps"),
        ("# First steps {.wide}", "First steps"),
        ("# First steps {#first} ##", "First steps"),
        ("# First steps ## {#first}", "First steps"),
        ("# First steps{#first}", "First steps"),
        ("# {#first}", ""),
        ("# Path /items/{id}", "Path /items/{id}"),
        ("# The set {1, 2}", "The set {1, 2}"),
        ("# {#first} steps", "{#first} steps"),
    ],
)
def test_an_id_is_no_part_of_a_title(line: str, title: str) -> None:
    assert _headings(line) == [(1, title)]


@pytest.mark.parametrize(
    ("text", "headings"),
    [
        ("Rivers\n======\n", [(1, "Rivers")]),
        ("川\n---\n", [(2, "川")]),
        ("Rivers\n= =\n", []),
        ("Rivers\nand lakes\n   =\n", [(1, "Rivers and lakes")]),
        ("Rivers {#r}\n-\n", [(2, "Rivers")]),
        ("C #\n---\n", [(2, "C #")]),
        ("Rivers\n\n---\n", []),
        ("---\n\nRivers\n---\n", [(2, "Rivers")]),
        ("***\nRivers\n---\n", [(2, "Rivers")]),
        ("# Rivers\n---\n", [(1, "Rivers")]),
        ("> quoted\n---\n", []),
        ("- item\n---\n", []),
        ("- item\nlazy\n===\n", []),
        ("    code\n---\n", []),
        ("a | b\n---\n", [(2, "a | b")]),
        ("Rivers\n    ---\n", []),
    ],
)
def test_underlined_headings_are_told_from_rules(text: str, headings: list[tuple[int, str]]) -> None:
    assert _headings(text) == headings


def test_a_title_as_long_as_a_page_is_shortened() -> None:
    assert _headings("# " + "川" * 201) == [(1, "川" * 199 + "…")]
    assert _headings("# " + "川" * 200) == [(1, "川" * 200)]
    assert _headings("word " * 60 + "\n===") == [(1, ("word " * 60)[:199] + "…")]


@pytest.mark.parametrize(
    "fence",
    [
        "```\n# no\n```\n",
        "```py\n# no\n\n# no\n```\n",
        "~~~ a`b\n# no\n~~~\n",
        "````\n```\n# no\n```\n# no\n````\n",
        "```\n~~~\n# no\n```\n",
        "```\n    ```\n# no\n```\n",
        "```\n``` py\n# no\n```\n",
        "   ```\n# no\n  `````\n",
        "- ```py\n  # no\n  ```\n",
        "1. - ~~~\n     # no\n     ~~~\n",
        "- item\n\n  ```\n  # no\n\n  # no\n  ```\n",
        "* a\n    * b\n\n        ```\n        # no\n        ```\n",
    ],
)
def test_comments_in_fences_are_no_headings_and_the_text_behind_has_its_own(fence: str) -> None:
    assert _headings(fence + "\n# 川\n") == [(1, "川")]


@pytest.mark.parametrize(
    ("text", "headings"),
    [
        ("```\n# no\n\n# no\n", []),
        ("# 川\n\n~~~\n# no\n```\n# no\n", [(1, "川")]),
        ("- item\n  ```\n  # no\n# Rivers\n", [(1, "Rivers")]),
        ("- ```\n  # no\n\n# Rivers\n", [(1, "Rivers")]),
        ("```a`b\n# Rivers\n", [(1, "Rivers")]),
        ("``\n# Rivers\n", [(1, "Rivers")]),
    ],
)
def test_an_unclosed_fence_reaches_to_the_end_of_its_item_or_of_the_text(
    text: str, headings: list[tuple[int, str]]
) -> None:
    assert _headings(text) == headings


@pytest.mark.parametrize(
    "html",
    [
        "<!-- one line -->\n",
        "<!--\n# no\n\n</pre>\n# no\n-->\n",
        "<pre>\n# no\n\n# no\n</pre>\n",
        "<SCRIPT>\n# no\n\n</Script>\n",
        "<?php\n# no\n\n?>\n",
        "<![CDATA[\n# no\n\n]]>\n",
        "text\n<!--\n# no\n-->\n",
        "- item\n<!--\n# no\n-->\n",
    ],
)
def test_raw_html_hides_headings_until_its_end(html: str) -> None:
    assert _headings(html + "# 川\n") == [(1, "川")]


def test_unclosed_raw_html_reaches_to_the_end() -> None:
    assert _headings("<!-- note\n\n# no\n") == []


@pytest.mark.parametrize(
    "opening", ["<details>", "<details>\n<summary>川</summary>", "</Note>", '<Tab title="a">']
)
def test_a_heading_ends_html_with_or_without_a_blank_line(opening: str) -> None:
    assert _headings(f"{opening}\n# A\n\n{opening}\n\n# B\n") == [(1, "A"), (1, "B")]


def test_inline_html_at_the_start_of_a_line_is_a_paragraph() -> None:
    assert _headings("<kbd>F5</kbd> reloads\n===\n") == [(1, "<kbd>F5</kbd> reloads")]
    assert _kinds("press\n<b>now</b> or later") == [("paragraph", "press\n<b>now</b> or later")]


@pytest.mark.parametrize("end", ["---", "..."])
def test_front_matter_is_one_block_with_no_headings(end: str) -> None:
    front = f"---\ntitle: 川\n# comment\n\nkey: |\n  a\n{end}\n"
    assert _kinds(front + "# Rivers\n") == [("front matter", front), ("heading", "# Rivers\n")]
    assert _kinds(front.replace("\n", "\r\n") + "x")[0] == ("front matter", front.replace("\n", "\r\n"))


def test_a_rule_at_the_start_is_no_front_matter() -> None:
    assert _headings("---\n\n# Rivers\n\n---\n") == [(1, "Rivers")]
    assert _headings("---\ntitle: never closed\n\n# Rivers\n") == [(1, "Rivers")]
    assert _kinds("--- \n---\nx")[0] == ("front matter", "--- \n---\n")


def test_a_table_begins_at_its_header_row() -> None:
    table = "| a | b |\n|---|:-:|\n| 川 | 山 |\n| 1 | 2 |\n"
    assert _kinds(table) == [("table", table)]
    assert _kinds("Some words\nand more\n" + table + "\nafter") == [
        ("paragraph", "Some words\nand more\n"),
        ("table", table + "\n"),
        ("paragraph", "after"),
    ]
    assert _kinds("a|b\n-|-\n1|2\n# H") == [("table", "a|b\n-|-\n1|2\n"), ("heading", "# H")]
    assert _kinds(table + "- item\n")[1] == ("list", "- item\n")
    assert _kinds("a | b\nc | d\n") == [("paragraph", "a | b\nc | d\n")]


def test_a_list_keeps_its_items_and_what_is_indented_under_them() -> None:
    whole = "- a\n  - b\n\n  still a\nlazy\n- c\n\n1) d\n\n   ```\n   x\n   ```\n"
    assert _kinds(whole + "\nafter") == [("list", whole + "\n"), ("paragraph", "after")]
    assert _kinds("- a\n\n    code in it\n\n- b\n") == [("list", "- a\n\n    code in it\n\n- b\n")]
    assert _kinds("- a\n***\n- b\n") == [("list", "- a\n"), ("rule", "***\n"), ("list", "- b\n")]


def test_a_number_within_a_paragraph_begins_no_list() -> None:
    assert _kinds("The flood of\n1994. It was high.\n") == [
        ("paragraph", "The flood of\n1994. It was high.\n")
    ]
    assert [kind for kind, _ in _kinds("Steps:\n1. one\n")] == ["paragraph", "list"]


def test_quotes_code_and_rules_are_blocks_of_their_own() -> None:
    text = "> a\nlazy\n> b\n\n    code\n\n    # more\n---\ntext\n    not code\n"
    assert _kinds(text) == [
        ("quote", "> a\nlazy\n> b\n\n"),
        ("code", "    code\n\n    # more\n"),
        ("rule", "---\n"),
        ("paragraph", "text\n    not code\n"),
    ]


def test_old_macintosh_line_ends_are_line_ends() -> None:
    assert _headings("# A\rtext\r\r# B\r") == [(1, "A"), (1, "B")]
