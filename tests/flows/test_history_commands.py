"""The commands on a table's past, as people and programs see them."""

from pathlib import Path
from typing import Any

import pytest

from tests.flows.inside import vecmill_here
from tests.support import job_for, rows, run, write_pages

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A store with two versions of `docs`."""
    at, folder = str(tmp_path / "store"), tmp_path / "docs"
    pages = {"川.md": "# 川\n\n春の川は浅い。石の橋がある。", "bread.md": "Bread.", "tea.md": "Tea."}
    run(job_for(write_pages(folder, pages), at))
    (folder / "bread.md").unlink()
    run(job_for(write_pages(folder, {"川.md": "# 川\n\n春の川は深い。石の橋がある。", "new.md": "New."}), at))
    return at


def _json(capsys: Captured, store: str, *words: str) -> Any:
    ran = vecmill_here(capsys, *words, "--store", store, "--json")
    assert (ran.code, ran.err) == (0, "")
    return ran.json


def test_the_json_of_diff_is_that_of_the_design(store: str, capsys: Captured) -> None:
    assert _json(capsys, store, "diff", "docs", "1", "2") == {
        "documents": {"added": ["new.md"], "removed": ["bread.md"], "changed": ["川.md"]},
        "chunks": {"added": 2, "removed": 2},
    }
    assert _json(capsys, store, "diff", "docs", "2") == {
        "documents": {"added": [], "removed": [], "changed": []},
        "chunks": {"added": 0, "removed": 0},
    }


def test_a_document_that_changed_is_shown_sentence_by_sentence(store: str, capsys: Captured) -> None:
    lines = [
        "--- 川.md@1",
        "+++ 川.md@2",
        "@@ -1,3 +1,3 @@",
        " # 川",
        "-春の川は浅い。",
        "+春の川は深い。",
        " 石の橋がある。",
    ]
    words = ["diff", "docs", "1", "2", "--text", "川.md"]
    assert _json(capsys, store, *words) == {"doc_id": "川.md", "diff": "\n".join(lines)}
    assert vecmill_here(capsys, *words, "--store", store).out.splitlines() == lines
    same = vecmill_here(capsys, "diff", "docs", "1", "2", "--text", "tea.md", "--store", store)
    assert same.out == "the text is the same in versions 1 and 2\n"


def test_a_named_version_is_read_searched_compared_and_gone_back_to(store: str, capsys: Captured) -> None:
    assert _json(capsys, store, "name", "docs", "1", "v-2026-11") == {
        "table": "docs",
        "version": 1,
        "name": "v-2026-11",
        "deleted": False,
    }
    assert [row["names"] for row in _json(capsys, store, "versions", "docs")] == [[], ["v-2026-11"]]
    first = _json(capsys, store, "versions", "docs")[1]["published_at"]
    for at in ("1", "v-2026-11", first):
        hits = _json(capsys, store, "search", "bread", "--mode", "text", "--at", at)
        assert [hit["doc_id"] for hit in hits] == ["bread.md"]
        assert _json(capsys, store, "sql", f'select count(*) as n from "docs@{at}"') == [{"n": 3}]
        assert _json(capsys, store, "diff", "docs", at, "2")["documents"]["removed"] == ["bread.md"]
    assert _json(capsys, store, "search", "bread", "--mode", "text") == []
    assert _json(capsys, store, "rollback", "docs", "v-2026-11")["counts"] == {"to": 1}
    assert rows(store).equals(rows(store, version=1))


def test_a_name_is_moved_or_taken_away_only_when_that_is_said(store: str, capsys: Captured) -> None:
    _json(capsys, store, "name", "docs", "1", "good")
    refused = vecmill_here(capsys, "name", "docs", "2", "good", "--store", store)
    assert refused.code == 3
    assert "version 1 of table 'docs' is called good already; say --move" in refused.err
    said = vecmill_here(capsys, "name", "docs", "live", "good", "--move", "--store", store)
    assert said.out == "version 2 of docs is called good\n"
    said = vecmill_here(capsys, "name", "docs", "good", "--delete", "--store", store)
    assert said.out == "version 2 of docs is no longer called good\n"
    assert vecmill_here(capsys, "name", "docs", "good", "--store", store).code == 2


def test_people_see_what_changed_from_version_to_version(store: str, capsys: Captured) -> None:
    _json(capsys, store, "rollback", "docs", "1")
    shown = vecmill_here(capsys, "versions", "docs", "--store", store).out.splitlines()
    assert [line.split()[:2] for line in shown[1:]] == [["3", "rollback"], ["2", "ingest"], ["1", "ingest"]]
    assert "back to 1" in shown[1]
    assert "documents 1 new, 1 changed, 1 unchanged, 1 deleted; chunks 2 inserted, 2 deleted" in shown[2]
    told = vecmill_here(capsys, "diff", "docs", "1", "2", "--store", store).out.splitlines()
    assert told[1:] == [
        "documents  1 added, 1 removed, 1 changed",
        "chunks     2 added, 2 removed",
        "+ new.md",
        "- bread.md",
        "~ 川.md",
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["diff", "nope", "1"], "there is no table 'nope'"),
        (["diff", "docs", "7"], "has no version 7; it has 1 to 2"),
        (["diff", "docs", "1", "nope"], "has no version 'nope': write a number, a name, or a time"),
        (["diff", "docs", "1", "--text", "no.md"], "has a document 'no.md'"),
        (["search", "q", "--at", "2000-01-01"], "had no version at 2000-01-01 00:00:00"),
        (["rollback", "docs", "x"], "has no version 'x'"),
        (["name", "docs", "1", "2026-11-26"], "is read as a time"),
        (["name", "docs", "9", "good"], "has no version 9"),
        (["name", "docs", "good", "--delete"], "no version of table 'docs' is called 'good'"),
    ],
)
def test_what_is_not_there_is_refused_and_said(
    words: list[str], said: str, store: str, capsys: Captured
) -> None:
    ran = vecmill_here(capsys, *words, "--store", store, "--json")
    assert ran.code == 3
    assert said in ran.json["error"]["message"]
