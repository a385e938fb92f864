"""The block structure, case by case; the headings' cases are CommonMark's and GitHub's."""

import pytest
from hypothesis import given, settings

from pipeline.splitting.prose import plain_lines
from pipeline.splitting.structure import read_structure, title_of
from tests.pipeline.splitting.support import texts


def _headings(text: str) -> list[tuple[int, str]]:
    scan = plain_lines(text)
    return [(heading[2], title_of(scan, heading)) for heading in read_structure(scan).headings]


def _wholes(text: str) -> list[str]:
    return [text[start:end] for start, end, _ in read_structure(plain_lines(text)).wholes]


@given(texts)
@settings(max_examples=250, deadline=None)
def test_what_is_read_is_in_order_within_the_text_and_does_not_meet(text: str) -> None:
    scan = plain_lines(text)
    body, headings, wholes = read_structure(scan)
    spans = sorted([heading[:2] for heading in headings] + [whole[:2] for whole in wholes])
    assert [heading[0] for heading in headings] == sorted(heading[0] for heading in headings)
    assert [whole[0] for whole in wholes] == sorted(whole[0] for whole in wholes)
    reached = body
    for start, end in spans:
        assert reached <= start < end <= len(text)
        assert start == 0 or scan[start - 1] == "\n"
        assert end == len(text) or scan[end - 1] == "\n"
        reached = end
    assert all(1 <= level <= 6 and start <= words <= end for start, end, level, words in headings)


@given(texts)
@settings(max_examples=200, deadline=None)
def test_windows_line_ends_change_nothing_but_offsets(text: str) -> None:
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    windows = plain.replace("\n", "\r\n")
    assert _headings(windows) == _headings(plain)
    assert [whole.replace("\r\n", "\n") for whole in _wholes(windows)] == _wholes(plain)


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
    assert _wholes("press\n<b>now</b> or later") == []


@pytest.mark.parametrize("end", ["---", "..."])
def test_front_matter_is_apart_and_has_no_headings(end: str) -> None:
    front = f"---\ntitle: 川\n# comment\n\nkey: |\n  a\n{end}\n"
    assert read_structure(front + "# Rivers\n").body == len(front)
    assert _headings(front + "# Rivers\n") == [(1, "Rivers")]
    windows = front.replace("\n", "\r\n")
    assert read_structure(plain_lines(windows + "x")).body == len(windows)


def test_a_rule_at_the_start_is_no_front_matter() -> None:
    assert _headings("---\n\n# Rivers\n\n---\n") == [(1, "Rivers")]
    assert _headings("---\ntitle: never closed\n\n# Rivers\n") == [(1, "Rivers")]
    assert read_structure("--- \n---\nx").body == 9


def test_a_table_begins_at_its_header_row_which_later_pieces_can_repeat() -> None:
    table = "| a | b |\n|---|:-:|\n| 川 | 山 |\n| 1 | 2 |\n"
    assert _wholes(table) == [table]
    assert _wholes("Some words\nand more\n" + table + "\nafter") == [table]
    assert read_structure(table).wholes == [(0, len(table), "| a | b |\n")]
    assert _wholes("a|b\n-|-\n1|2\n# H") == ["a|b\n-|-\n1|2\n"]
    assert _wholes(table + "- item\n") == [table]
    assert _wholes("a | b\nc | d\n") == []
    assert _wholes("- item\n\n  | a | b |\n  |---|---|\n  | 1 | 2 |\n\n  more\n") == [
        "  | a | b |\n  |---|---|\n  | 1 | 2 |\n"
    ]


@pytest.mark.parametrize(
    "fence",
    [
        "```py\n# 川\n```\n",
        "~~~\n```\n~~~\n",
        "````md\n```\nx\n```\n````\n",
        "  ```\n  x\n   ```\n",
        "```\nx = `a` + ``b``\ny ``` z\n```\n",
        "```\nx\n``` no\n```\n",
        "<!-- a\n\nb -->\n",
        "> ```\n> x\n>\n> y\n> ```\n",
    ],
)
def test_fences_and_raw_html_are_kept_whole(fence: str) -> None:
    assert _wholes(f"Before.\n\n{fence}\nBehind.\n") == [fence]


def test_fences_in_lists_are_kept_whole_and_end_with_their_item() -> None:
    assert _wholes("- a\n\n  ```\n  x\n\n  y\n  ```\n\n  b\n- c\n") == ["  ```\n  x\n\n  y\n  ```\n"]
    assert _wholes("1. ```sh\n   x\n   ```\n2. b\n") == ["1. ```sh\n   x\n   ```\n"]
    assert _wholes("- ```\n  x\n\nBehind.\n") == ["- ```\n  x\n\n"]
    assert _wholes("* a\n    * b\n\n        ```\n        x\n        ```\n") == [
        "        ```\n        x\n        ```\n"
    ]


def test_what_is_indented_as_code_is_no_fence() -> None:
    assert _wholes("Text.\n\n    ```\n    x\n    ```\n") == []
    assert _headings("Text.\n\n    ```\n\n# 川\n") == [(1, "川")]


def test_an_indented_line_is_a_heading_only_outside_of_lists() -> None:
    assert _headings("- item\n\n  ```\n  x\n  ```\n\n  ## in it\n\n## 川\n") == [(2, "川")]
    assert _headings("Text.\n\n  ## 川\n\n- item\n") == [(2, "川")]


def test_old_macintosh_line_ends_are_line_ends() -> None:
    assert _headings("# A\rtext\r\r# B\r") == [(1, "A"), (1, "B")]
