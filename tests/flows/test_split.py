"""vecmill split: what it prints of a file, for people and as JSON."""

import io
import re
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

from flows import render
from tests.flows.inside import vecmill_here
from tests.support import write_pages

Captured = pytest.CaptureFixture[str]

PAGE = """# Rivers

Water flows. It is wet, and it is cold.

## 川の流れ

川は山から海へ流れる。水は冷たい。

| a | b |
|---|---|
| 1 | 2 |
"""
LONG = "# Rivers\n\n" + "\n".join(f"- line {number} of the list" for number in range(40)) + "\n"
WIDE = re.compile("[\u3000-\u9fff\uff00-\uff60]")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in the test's own folder: a header with a long path is folded."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def page(tmp_path: Path) -> str:
    (tmp_path / "page.md").write_text(PAGE, "utf-8")
    return "page.md"


def _shown(capsys: Captured, *words: str) -> list[str]:
    ran = vecmill_here(capsys, "split", *words)
    assert (ran.code, ran.err) == (0, "")
    return ran.out.splitlines()


def test_json_is_a_list_of_chunks_that_are_slices_of_the_file(page: str, capsys: Captured) -> None:
    ran = vecmill_here(capsys, "split", page, "--max-tokens", "24", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert len(ran.json) > 2
    for chunk in ran.json:
        assert list(chunk) == ["start", "end", "text", "tokens", "heading_path"]
        assert chunk["text"] == PAGE[chunk["start"] : chunk["end"]]
        assert 0 < chunk["tokens"] <= 24
    assert ran.json[-1]["heading_path"] == ["Rivers", "川の流れ"]


def test_people_see_each_chunk_with_its_measures_its_prefix_its_text_and_its_end(
    page: str, capsys: Captured
) -> None:
    shown = _shown(capsys, page, "--max-characters", "60")
    assert shown[:8] == [
        "page.md  markdown, at most 60 characters a chunk",
        "",
        "  1 █████████░ 49 characters, 18 tokens, 0–49  Rivers",
        "    │ # Rivers",
        "    │",
        "    │ Water flows. It is wet, and it is cold.",
        "    ╰ a section ends",
        "",
    ]
    assert shown[8:15] == [
        "  2 ██████░░░░ 26 characters, 31 tokens, 51–77  Rivers > 川の流れ",
        "    ┊ Rivers",
        "    │ ## 川の流れ",
        "    │",
        "    │ 川は山から海へ流れる。水は冷たい。",
        "    ╰ a paragraph ends",
        "",
    ]
    assert shown[-4:] == [
        "3 chunks of at most 60 characters: median 44, largest 49, 71% full",
        "sizes from 0 to 60  [     █ ██ ]",
        "ends: section 50%, paragraph 50%",
        "nothing over the bound, left alone or broken",
    ]


@pytest.mark.parametrize(
    ("name", "splitter"),
    [
        ("a.md", "markdown"),
        ("a.MARKDOWN", "markdown"),
        ("a.txt", "markdown"),
        ("a.HTML", "html"),
        ("a.htm", "html"),
        ("a.py", "code"),
        ("a.js", "code"),
        ("a.log", "recursive"),
        ("a", "recursive"),
    ],
)
def test_the_files_name_says_how_it_is_cut_unless_a_splitter_is_named(
    name: str, splitter: str, tmp_path: Path, capsys: Captured
) -> None:
    (tmp_path / name).write_text(PAGE, "utf-8")
    assert f"  {splitter}, at most" in _shown(capsys, name)[0]
    assert "  sentence, at most" in _shown(capsys, name, "--splitter", "sentence", "--quiet")[0]


def test_a_long_chunk_is_shortened_in_its_middle_and_whole_with_full(
    tmp_path: Path, capsys: Captured
) -> None:
    (tmp_path / "long.md").write_text(LONG)
    words = ("long.md", "--max-tokens", "1000")
    short, full = _shown(capsys, *words), _shown(capsys, *words, "--full")
    assert "    │ ⋯ 33 more lines ⋯" in short
    assert [line for line in short if "line 20 " in line] == []
    assert [line.removeprefix("    │").strip() for line in full[3:-5]] == LONG.splitlines()
    assert "    │ - line 39 of the list" in short


def test_what_chunks_share_is_said(page: str, capsys: Captured) -> None:
    words = (page, "--splitter", "recursive", "--max-characters", "50", "--overlap-characters", "25")
    assert "; 23 characters are shared with chunk 1" in "\n".join(_shown(capsys, *words))


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_nothing_is_wider_than_the_terminal_or_a_readable_line(
    columns: int, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (
        "Water flows to the sea where it meets the salt. " * 9
        + "\n\n"
        + "川は山から海へ流れる。水は冷たい。" * 9
    )
    (tmp_path / "wide.md").write_text(f"# {'見出し' * 20}\n\n{words}\n\n{'x' * 300}\n", "utf-8")
    monkeypatch.setattr(render.out, "width", columns)
    shown = _shown(capsys, "wide.md", "--full")[2:-4]
    assert max(len(line) + len(WIDE.findall(line)) for line in shown) <= min(columns, 100)
    text = [line[6:] for line in shown if line.startswith("    │")]
    assert all(not line.startswith(("。", "、")) for line in text)
    assert "".join("".join(text).split()) == "".join(f"#{'見出し' * 20}{words}{'x' * 300}".split())


def test_a_text_cannot_control_the_terminal(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "evil.md").write_text(
        "# [red]\x1b]0;evil\x07\n\na\rb \x1b[2J \x9b [bold]c[/] :smile:\n", "utf-8"
    )
    out = "\n".join(_shown(capsys, "evil.md"))
    assert not set(out) & {"\x1b", "\x07", "\r", "\x9b"}
    assert "[bold]c[/] :smile:" in out
    assert "# [red]\ufffd]0;evil" in out


def test_what_is_cut_badly_stands_out(tmp_path: Path, capsys: Captured) -> None:
    fence = "```py\nx = 1\ny = 2\n```"
    (tmp_path / "bad.md").write_text(f"Some words here.\n\n{fence}\n\n# Alone\n\nText, and more text.\n")
    shown = _shown(capsys, "bad.md", "--splitter", "fixed", "--max-characters", "30")
    assert any("and a fence of 21 characters is broken that would fit" in line for line in shown)
    assert "cut between words" in "\n".join(shown)
    assert shown[-1] == "1 fence broken that would fit"


def test_a_table_that_does_not_fit_is_no_fault(tmp_path: Path, capsys: Captured) -> None:
    rows = "".join(f"| {number} | {number} |\n" for number in range(20))
    (tmp_path / "table.md").write_text(f"| a | b |\n|---|---|\n{rows}")
    shown = _shown(capsys, "table.md", "--max-characters", "60")
    assert any(" within a table of " in line and "more than fits" in line for line in shown)
    assert any(line == "    ┊ | a | b |" for line in shown)
    assert shown[-1] == "nothing over the bound, left alone or broken"


def test_a_grapheme_larger_than_the_bound_is_shown_as_over_it(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "family.txt").write_text("a " + "e" + "\u0301" * 20, "utf-8")
    shown = _shown(capsys, "family.txt", "--max-characters", "8")
    assert "    ╰ the text ends, over the bound" in shown
    assert shown[-1] == "1 chunk over the bound"


def test_of_very_many_chunks_the_first_hundred_are_shown(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "many.txt").write_text("Water flows on. " * 300)
    words = ("many.txt", "--max-characters", "16")
    shown = _shown(capsys, *words)
    assert "… and 200 more chunks: --full shows all, and all of their text" in shown
    assert sum("Water flows on." in line for line in shown) == 100
    assert sum("Water flows on." in line for line in _shown(capsys, *words, "--full")) == 300


@pytest.mark.parametrize("text", ["", " \n\n\t ", "\ufeff"])
def test_a_file_without_text_has_no_chunks(text: str, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "empty.md").write_text(text, "utf-8")
    assert _shown(capsys, "empty.md")[-1] == "no chunks: there is no text"
    assert vecmill_here(capsys, "split", "empty.md", "--json").json == []


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x00\x01\x02 abc", "is a binary file, not text"),
        ("吾輩は猫".encode("shift_jis"), "is not UTF-8: byte 0 (line 1) is 0x8c; convert it"),
        (None, "there is no file"),
    ],
)
def test_what_is_no_text_is_refused_with_the_reason(
    data: bytes | None, said: str, tmp_path: Path, capsys: Captured
) -> None:
    path = tmp_path / "file.md"
    if data is not None:
        path.write_bytes(data)
    for words in ((), ("--compare", "fixed")):
        ran = vecmill_here(capsys, "split", str(path), *words, "--json")
        assert ran.code == 3
        assert said.replace("there is no file", "") in ran.json["error"]["message"]


def test_a_folder_is_for_a_comparison(tmp_path: Path, capsys: Captured) -> None:
    ran = vecmill_here(capsys, "split", str(tmp_path))
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == f"error: {tmp_path} is a folder; split shows one file, and --compare takes folders\n"


def test_standard_input_is_cut_as_markdown(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(PAGE.encode())))
    assert _shown(capsys, "-")[0].startswith("standard input  markdown")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--max-tokens", "4"], "--max-tokens is 4: Input should be greater than or equal to 8"),
        (["--splitter", "magic"], "--splitter is 'magic': Input should be"),
        (
            ["--splitter", "recursive", "--separator", "(", "--regex"],
            "--separator: '(' is no regular expression",
        ),
        (["--separator", "x"], "--separator: an option of the splitter recursive; this one is markdown"),
        (["--queries", "q.csv"], "--queries goes with --compare"),
        (["--text", "body"], "--text goes with --compare"),
        (
            ["--splitter", "semantic", "--embedding", "openai/text-embedding-3-small@64"],
            "the semantic splitter needs vectors, and those of openai/text-embedding-3-small@64 must be paid",
        ),
    ],
)
def test_words_that_do_not_fit_are_a_usage_error(
    words: list[str], said: str, page: str, capsys: Captured
) -> None:
    ran = vecmill_here(capsys, "split", page, *words)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: {said}")


def test_the_tokens_are_those_of_the_space_that_is_named(page: str, capsys: Captured) -> None:
    counts = [
        sum(chunk["tokens"] for chunk in vecmill_here(capsys, "split", page, "--json", *words).json)
        for words in ((), ("--embedding", "openai/text-embedding-3-small@1536"))
    ]
    assert counts[0] != counts[1]


def test_the_semantic_splitter_embeds_in_this_process(page: str, capsys: Captured) -> None:
    chunks = vecmill_here(
        capsys, "split", page, "--splitter", "semantic", "--max-tokens", "32", "--json"
    ).json
    spans = [(chunk["start"], chunk["end"]) for chunk in chunks]
    assert len(spans) > 1
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))


CODE = """class River:
    def flow(self):
        return 'water'

    def flood(self):
        return 'spring'
"""


def test_the_language_of_code_is_told_by_the_files_name_or_by_the_option(
    tmp_path: Path, capsys: Captured
) -> None:
    write_pages(tmp_path, {"a.py": CODE, "a.text": CODE})
    words = ("--splitter", "code", "--max-characters", "60", "--json")
    plain = [vecmill_here(capsys, "split", name, *words).json for name in ("a.py", "a.text")]
    named = vecmill_here(capsys, "split", "a.text", *words, "--language", "python").json
    assert plain[0] == named != plain[1]
    assert {tuple(chunk["heading_path"]) for chunk in named} >= {("class River", "def flood")}


def test_code_is_cut_as_plain_text_where_its_grammar_is_not_installed(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pages(tmp_path, {"a.py": CODE})
    monkeypatch.setitem(sys.modules, "tree_sitter_python", None)
    ran = vecmill_here(capsys, "split", "a.py")
    assert ran.code == 0
    assert "  recursive, at most" in ran.out
    assert "pip install 'vecmill[code]'" in ran.err
    asked = vecmill_here(capsys, "split", "a.py", "--splitter", "code")
    assert (asked.code, asked.out) == (3, "")


def test_html_is_cut_as_it_stands_which_is_said_where_ingest_would_not(
    tmp_path: Path, capsys: Captured
) -> None:
    page = "<h1>Rivers</h1><p>Water flows.</p>"
    write_pages(tmp_path, {"a.html": page})
    for words, notes in (
        ((), 0),
        (("--splitter", "markdown"), 1),
        (("--splitter", "markdown", "--quiet"), 0),
    ):
        ran = vecmill_here(capsys, "split", "a.html", "--json", *words)
        assert [chunk["text"] for chunk in ran.json] == [page]
        assert ran.err.count("note: a.html is cut as it stands") == notes
