"""vecmill split --compare: splitters side by side."""

import json
from pathlib import Path
from typing import Any

import pytest

from flows import render
from tests.flows.inside import vecmill_here
from tests.support import write_pages

Captured = pytest.CaptureFixture[str]

PAGES = {
    "rivers.md": "# Rivers\n\nRivers carry water from the mountains to the sea. They flood in spring.\n",
    "ja/山.md": "# 山\n\n山は高い。雪が積もる。\n\n```py\nheight = 3776\nname = '富士山'\n```\n",
    "bread.txt": "Bread is baked from flour. An oven has to be hot.\n\nA crust forms.\n",
}
QUERIES = "query_id,text\nq1,How is bread baked in an oven?\nq2,Where does river water flow?\nq3,高い山の雪\n"
QRELS = "query_id,doc_id,relevance\nq1,bread.txt,1\nq2,rivers.md,1\nq3,ja/山.md,1\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_pages(tmp_path, {"q.csv": QUERIES, "r.csv": QRELS})
    return write_pages(tmp_path / "docs", PAGES)


def _compared(capsys: Captured, *words: str) -> dict[str, Any]:
    ran = vecmill_here(capsys, "split", *words, "--json")
    assert (ran.code, ran.err) == (0, "")
    found: dict[str, Any] = ran.json
    return found


def _refused(capsys: Captured, code: int, *words: str) -> str:
    ran = vecmill_here(capsys, "split", *words, "--json")
    assert ran.code == code
    return str(ran.json["error"]["message"])


def test_json_has_the_setting_and_each_splitters_figures(folder: Path, capsys: Captured) -> None:
    words = (str(folder), "--compare", "recursive, markdown,semantic,fixed", "--max-tokens", "16")
    found = _compared(capsys, *words)
    characters = sum(map(len, PAGES.values()))
    assert [found[name] for name in ("space", "unit", "bound", "overlap", "documents", "characters")] == [
        "local/wordllama@256", "tokens", 16, 0, 3, characters,
    ]  # fmt: skip
    assert found["left_out"] == []
    kinds = [one["splitter"] for one in found["splitters"]]
    assert kinds == ["recursive", "markdown", "semantic", "fixed"]
    for one in found["splitters"]:
        assert sum(one["histogram"]) == one["chunks"] > 3
        assert one["largest"] <= 16
        assert one["headings"]["fit"] == 2
        assert one["cpu_seconds"] >= 0
        assert "ndcg@10" not in one
    inside = {one["splitter"]: one["ends"]["inside_word"] + one["ends"]["word"] for one in found["splitters"]}
    assert inside["fixed"] > inside["markdown"]


def test_one_file_and_a_glob_are_compared_like_a_folder(folder: Path, capsys: Captured) -> None:
    for source in (folder / "rivers.md", folder / "r*.md"):
        found = _compared(capsys, str(source), "--compare", "markdown")
        assert (found["documents"], found["characters"]) == (1, len(PAGES["rivers.md"]))


def test_options_go_to_the_splitters_that_have_them(folder: Path, capsys: Captured) -> None:
    words = (str(folder), "--compare", "recursive,markdown", "--max-characters", "50")
    plain, cut = (
        {one["splitter"]: one["histogram"] for one in _compared(capsys, *words, *options)["splitters"]}
        for options in ((), ("--no-prefix-headings",))
    )
    assert plain["recursive"] == cut["recursive"]
    assert plain["markdown"] != cut["markdown"]


def test_a_pipeline_names_its_source_its_bound_and_its_space(folder: Path, capsys: Captured) -> None:
    config = folder.parent / "vecmill.toml"
    config.write_text(
        '[pipelines.docs]\ntable = "docs"\nsource = { uri = "docs", glob = "*.md" }\n'
        'splitter = { kind = "markdown", max_tokens = 32, overlap_tokens = 8, join_sections = true }\n'
        'embedding = { provider = "openai", model = "text-embedding-3-small", dimensions = 64 }\n'
    )
    words = ("docs", "--compare", "markdown,sentence", "--config", str(config))
    found = _compared(capsys, *words)
    assert (found["bound"], found["overlap"], found["documents"]) == (32, 8, 1)
    assert found["space"] == "openai/text-embedding-3-small@64"
    assert _compared(capsys, *words, "--max-characters", "90", "--glob", "**/*.md")["documents"] == 2


def test_splitters_are_scored_on_a_labelled_set(folder: Path, capsys: Captured) -> None:
    labelled = ("--queries", str(folder.parent / "q.csv"), "--qrels", str(folder.parent / "r.csv"))
    found = _compared(capsys, str(folder), "--compare", "markdown,recursive,semantic", *labelled)
    for one in found["splitters"]:
        assert one["ndcg@10"] == 1.0
        assert one["low"] <= one["ndcg@10"] <= one["high"]


def test_rows_are_compared_and_scored_by_their_ids(tmp_path: Path, capsys: Captured) -> None:
    rows = [{"key": name, "body": text} for name, text in PAGES.items()]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_pages(tmp_path, {"q.csv": QUERIES, "r.csv": QRELS})
    words = (str(tmp_path / "rows.jsonl"), "--text", "body", "--id", "key", "--compare", "recursive")
    labelled = ("--queries", str(tmp_path / "q.csv"), "--qrels", str(tmp_path / "r.csv"))
    found = _compared(capsys, *words, *labelled)
    assert (found["documents"], found["splitters"][0]["ndcg@10"]) == (3, 1.0)


def test_a_file_that_is_no_text_is_left_out_with_its_reason(folder: Path, capsys: Captured) -> None:
    (folder / "bad.md").write_bytes(b"\x00\x01\x02\x03")
    found = _compared(capsys, str(folder), "--compare", "markdown")
    assert found["documents"] == 3
    assert found["left_out"] == ["bad.md: is a binary file, not text"]
    ran = vecmill_here(capsys, "split", str(folder), "--compare", "markdown")
    assert "note: left out: bad.md: is a binary file" in ran.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (
            ["--compare", "nonsense"],
            2,
            "--compare names 'nonsense', which is no splitter; choose from markdown",
        ),
        (["--compare", "markdown,"], 2, "--compare names '', which is no splitter"),
        (["--compare", "fixed", "--splitter", "code"], 2, "--splitter names one, and --compare those to put"),
        (
            ["--compare", "fixed,sentence", "--separator", "x"],
            2,
            "--separator: an option of the splitter recursive; compared are fixed, sentence",
        ),
        (["--compare", "fixed", "--max-tokens", "2"], 2, "--max-tokens is 2: Input should be greater"),
        (["--compare", "fixed", "--queries", "q.csv"], 2, "--queries needs --qrels beside it"),
        (["--compare", "fixed", "--qrels", "r.csv"], 2, "--qrels needs --queries beside it"),
        (["--compare", "fixed", "--text", "body"], 2, "rows need --text (a column"),
        (["--compare", "fixed", "--glob", "*.rst"], 3, "holds no documents (*.rst)"),
        (["--compare", "fixed", "--queries", "no.csv", "--qrels", "r.csv"], 3, "there is no file no.csv"),
        (
            ["--compare", "semantic", "--embedding", "openai/text-embedding-3-small@64"],
            2,
            "the semantic splitter needs vectors",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_what_to_do(
    words: list[str], code: int, said: str, folder: Path, capsys: Captured
) -> None:
    assert said in _refused(capsys, code, str(folder), *words)


def test_relevant_documents_that_the_source_lacks_are_refused(folder: Path, capsys: Captured) -> None:
    labelled = ("--queries", str(folder.parent / "q.csv"), "--qrels", str(folder.parent / "r.csv"))
    said = _refused(capsys, 3, str(folder / "ja"), "--compare", "markdown", *labelled)
    assert said.startswith("relevant documents are not in the source, whose ids are such as '山.md': ")
    assert "'bread.txt', 'ja/山.md', 'rivers.md'" in said


def test_scoring_with_vectors_that_would_have_to_be_paid_for_is_refused(
    folder: Path, capsys: Captured
) -> None:
    labelled = ("--queries", str(folder.parent / "q.csv"), "--qrels", str(folder.parent / "r.csv"))
    words = ("--compare", "markdown", "--embedding", "openai/text-embedding-3-small@64", *labelled)
    assert _refused(capsys, 2, str(folder), *words).startswith("scoring needs vectors, and those of openai/")


def test_a_source_that_is_not_there_is_refused(tmp_path: Path, capsys: Captured) -> None:
    said = _refused(capsys, 3, str(tmp_path / "nope"), "--compare", "markdown")
    assert said == f"{tmp_path / 'nope'} does not exist; name a folder, a file or a glob on this machine"


def test_people_see_a_table_of_figures(folder: Path, capsys: Captured) -> None:
    labelled = ("--queries", str(folder.parent / "q.csv"), "--qrels", str(folder.parent / "r.csv"))
    ran = vecmill_here(capsys, "split", str(folder), "--compare", "markdown,fixed", *labelled)
    lines = [" ".join(line.split()) for line in ran.out.splitlines()]
    total = sum(map(len, PAGES.values()))
    assert lines[0] == f"3 documents, {total} characters; at most 256 tokens of local/wordllama@256 a chunk"
    assert lines[2] == "markdown fixed"
    labels = [_label(line) for line in lines[3:]]
    assert labels == [
        "chunks", "sizes from", "median size", "largest", "bound used", "over the bound",
        "end with a section", "end with a paragraph", "end with a sentence", "end with a line",
        "end inside a sentence", "headings left alone", "fences broken that would fit", "nDCG@10", "CPU time",
    ]  # fmt: skip


def _label(line: str) -> str:
    """A row's words before its first figure."""
    words = line.split()
    if words[0] == "nDCG@10":
        return words[0]
    return " ".join(words[: next(at for at, word in enumerate(words) if word[0].isdigit())])


@pytest.mark.parametrize(("columns", "blocks"), [(60, 2), (100, 1), (44, 4)])
def test_splitters_that_do_not_fit_side_by_side_stand_below_one_another(
    columns: int, blocks: int, folder: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render.out, "width", columns)
    ran = vecmill_here(capsys, "split", str(folder), "--compare", "markdown,recursive,fixed,sentence")
    assert ran.out.count("median size") == blocks
