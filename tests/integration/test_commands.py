"""The commands: what they print for people and for programs, and their exit codes."""

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from infra.embedding_form import DEFAULT_SPACE
from pipeline.splitter_spec import SplitterSpec
from tests.endpoint import MeteredEndpoint
from tests.flows.inside import vecmill_here
from tests.support import command, job_for, rows, run, vecmill, write_pages

Captured = pytest.CaptureFixture[str]

PAGES = {
    "rivers.md": "# Rivers\n\n## Water\n\nRivers carry water from the mountains to the sea.",
    "星.md": "# 星\n\n夜空の星は望遠鏡で見る。",
    "bread.md": "# Bread\n\nKnead the dough and let it rise.",
}
DOCUMENTS = ["new", "changed", "unchanged", "deleted", "failed"]
CHUNKS = ["inserted", "unchanged", "deleted", "dead"]
HIT = ["chunk_id", "doc_id", "uri", "start", "end", "heading_path", "text", "score"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_pages(tmp_path / "docs", PAGES)


@pytest.fixture
def filled(folder: Path, store: str) -> str:
    """A store that holds the pages as version 1 of `docs`."""
    run(job_for(folder, store, space=DEFAULT_SPACE, splitter=SplitterSpec()))
    return store


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same for tests that change nothing."""
    home = tmp_path_factory.mktemp("published")
    run(job_for(write_pages(home / "docs", PAGES), str(home / "store")))
    return str(home / "store")


def _ingest(source: Path, store: str, *options: str) -> list[str]:
    return ["ingest", str(source), "--table", "docs", "--store", store, "--json", *options]


def _json(capsys: Captured, *words: str) -> Any:
    """What a command that succeeds prints: one JSON document, and nothing for people."""
    ran = vecmill_here(capsys, *words, "--json")
    assert (ran.code, ran.err) == (0, "")
    return ran.json


def test_the_json_of_ingest_is_that_of_the_design_key_for_key(
    folder: Path, store: str, capsys: Captured
) -> None:
    first, second = (_json(capsys, *_ingest(folder, store)[:-1]) for _ in range(2))
    for report in (first, second):
        assert list(report) == [
            "run_id", "table", "version", "published", "documents", "chunks", "embedding", "cost_usd",
            "seconds",
        ]  # fmt: skip
        assert list(report["documents"]) == DOCUMENTS
        assert list(report["chunks"]) == CHUNKS
        assert list(report["embedding"]) == [
            "space", "texts", "tokens", "requests", "cache_hits", "retries", "paid_again",
        ]  # fmt: skip
        assert list(report["seconds"]) == [
            "list", "split", "plan", "embed", "assemble", "publish", "total",
        ]  # fmt: skip
    assert (first["table"], first["version"], first["published"]) == ("docs", 1, True)
    assert (first["documents"]["new"], first["chunks"]["inserted"], first["cost_usd"]) == (3, 3, 0.0)
    assert (second["version"], second["published"], second["documents"]["unchanged"]) == (1, False, 3)
    assert second["embedding"]["requests"] == 0


def test_the_json_of_plan_is_that_of_the_design_and_nothing_is_changed(
    folder: Path, filled: str, capsys: Captured
) -> None:
    write_pages(folder, {"new.md": "# New\n\nA page that nobody has seen."})
    words = ["plan", *_ingest(folder, filled)[1:-1], "--rpm", "60"]
    plan = _json(capsys, *words)
    assert list(plan) == [
        "documents", "chunks", "to_embed", "cache_hits", "cost_usd", "lane", "hours_at_most",
        "seconds_at_quota", "over_budget", "price",
    ]  # fmt: skip
    assert (list(plan["documents"]), list(plan["chunks"])) == (DOCUMENTS, CHUNKS)
    assert list(plan["to_embed"]) == ["texts", "tokens", "requests"]
    assert (plan["documents"]["new"], plan["to_embed"]["texts"], plan["to_embed"]["requests"]) == (1, 1, 1)
    assert (plan["seconds_at_quota"], plan["over_budget"]) == (1.0, False)
    assert _json(capsys, *words) == plan
    assert len(_json(capsys, "runs", "--store", filled)) == 1


def test_a_plan_leaves_no_store_where_there_was_none(folder: Path, store: str, capsys: Captured) -> None:
    assert _json(capsys, "plan", *_ingest(folder, store)[1:-1])["documents"]["new"] == 3
    assert not Path(store).exists()


def test_a_plan_over_its_budget_is_printed_and_ends_with_code_4(
    folder: Path, store: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    options = ["--embedding", "openai/text-embedding-3-small@64", "--budget-usd", "0.0000001"]
    plan = vecmill_here(capsys, "plan", *_ingest(folder, store, *options)[1:])
    assert (plan.code, plan.json["over_budget"], plan.json["to_embed"]["texts"]) == (4, True, 3)
    ran = vecmill_here(capsys, *_ingest(folder, store, *options))
    assert (ran.code, ran.json["error"]["kind"]) == (4, "OverBudget")
    assert "nothing was paid" in ran.json["error"]["message"]
    assert "text-embedding-3-small" in vecmill_here(capsys, "runs", "--store", store, "--json").out


@pytest.mark.parametrize(
    ("mode", "scores"),
    [
        ("vector", ["vector_score"]),
        ("text", ["text_score"]),
        ("hybrid", ["vector_score", "text_score"]),
        ("funnel", ["vector_score"]),
    ],
)
def test_the_json_of_search_is_that_of_the_design_in_every_mode(
    mode: str, scores: list[str], published: str, capsys: Captured
) -> None:
    for query, doc_id in (("rivers water", "rivers.md"), ("望遠鏡", "星.md")):
        words = ["search", query, "--table", "docs", "--mode", mode, "--top-k", "2", "--store", published]
        found = _json(capsys, *words)
        assert list(found[0]) == [*HIT, *scores]
        assert len(found) <= 2
        assert found[0]["doc_id"] == doc_id
        text = PAGES[doc_id]
        assert all(hit["text"] == PAGES[hit["doc_id"]][hit["start"] : hit["end"]] for hit in found)
        assert found[0]["heading_path"] == [
            line.lstrip("# ") for line in text.splitlines() if line[:1] == "#"
        ]
        assert [hit["score"] for hit in found] == sorted((hit["score"] for hit in found), reverse=True)


def test_a_search_can_be_filtered_and_needs_no_table_where_there_is_one(
    folder: Path, filled: str, capsys: Captured
) -> None:
    words = ["search", "water", "--store", filled]
    assert [hit["doc_id"] for hit in _json(capsys, *words, "--where", "doc_id = '星.md'")] == ["星.md"]
    assert vecmill_here(capsys, "ingest", str(folder), "--table", "more", "--store", filled).code == 0
    ran = vecmill_here(capsys, *words, "--json")
    assert (ran.code, ran.json["error"]["message"]) == (2, "say which --table to search: docs, more")


def test_the_json_of_sql_is_a_list_of_objects_with_numbers_as_numbers(
    published: str, capsys: Captured
) -> None:
    query = "select doc_id, sum(tokens) as tokens, count(*) as n from docs group by all order by doc_id"
    found = _json(capsys, "sql", query, "--store", published)
    assert [(row["doc_id"], row["n"], type(row["tokens"])) for row in found] == [
        (name, 1, int) for name in sorted(PAGES)
    ]
    assert _json(capsys, "sql", "select doc_id from docs where false", "--store", published) == []


def test_the_json_of_versions_is_that_of_the_design_newest_first(
    folder: Path, filled: str, capsys: Captured
) -> None:
    (folder / "bread.md").unlink()
    run_id = _json(capsys, *_ingest(folder, filled)[:-1])["run_id"]
    back = _json(capsys, "rollback", "docs", "1", "--store", filled)
    assert (back["table"], back["version"], back["kind"]) == ("docs", 3, "rollback")
    found = _json(capsys, "versions", "docs", "--store", filled)
    assert list(found[0]) == [
        "version", "kind", "generation", "published_at", "run_id", "chunks", "space", "splitter", "names",
        "counts",
    ]  # fmt: skip
    shown = [(row["version"], row["kind"], row["chunks"]) for row in found]
    assert shown == [(3, "rollback", 3), (2, "ingest", 2), (1, "ingest", 3)]
    assert (found[1]["run_id"], found[1]["space"]) == (run_id, "local/wordllama@256")
    counted = _json(capsys, "sql", 'select count(*) as n from "docs@2"', "--store", filled)
    assert counted == [{"n": 2}]


def test_the_run_ledger_tells_how_each_run_ended(folder: Path, filled: str, capsys: Captured) -> None:
    vecmill_here(capsys, *_ingest(folder, filled, "--embedding", "local/wordllama@64"))
    failed, done = _json(capsys, "runs", "--store", filled)
    assert (failed["state"], done["state"]) == ("failed", "finished")
    assert "local/wordllama@64" in failed["error"]
    one = _json(capsys, "runs", done["run_id"], "--store", filled)
    assert (one["report"]["version"], one["dead_letters"], one["error"]) == (1, [], None)


def test_keep_missing_keeps_and_delete_missing_deletes_what_the_source_no_longer_has(
    folder: Path, filled: str, capsys: Captured
) -> None:
    (folder / "bread.md").unlink()
    kept = _json(capsys, *_ingest(folder, filled)[:-1], "--keep-missing")
    assert (kept["published"], kept["documents"]["deleted"]) == (False, 0)
    assert set(rows(filled)["doc_id"].to_pylist()) == set(PAGES)
    deleted = _json(capsys, *_ingest(folder, filled)[:-1], "--delete-missing")
    assert (deleted["version"], deleted["documents"]["deleted"], deleted["chunks"]["deleted"]) == (2, 1, 1)
    assert set(rows(filled)["doc_id"].to_pylist()) == set(PAGES) - {"bread.md"}


def test_a_file_or_a_part_of_the_folder_deletes_nothing_beside_it(
    folder: Path, filled: str, capsys: Captured
) -> None:
    for source in (folder / "星.md", folder / "r*.md"):
        ran = _json(capsys, *_ingest(source, filled)[:-1])
        assert (ran["published"], ran["documents"]["unchanged"], ran["documents"]["deleted"]) == (False, 1, 0)


def test_people_get_words_on_stdout_and_the_same_exit_codes(
    folder: Path, filled: str, capsys: Captured
) -> None:
    words = {
        ("plan", str(folder), "--table", "docs"): "3 unchanged",
        ("ingest", str(folder), "--table", "docs"): "nothing was published; version 1 stays live",
        ("search", "望遠鏡"): "星.md",
        ("sql", "select 6 * 7 as answer"): "42",
        ("tables",): "local/wordllama@256",
        ("versions", "docs"): "ingest",
        ("runs",): "finished",
        ("rollback", "docs", "1"): "version 1 of docs is live, with the content of version 1",
    }
    for command_words, said in words.items():
        ran = vecmill_here(capsys, *command_words, "--store", filled)
        assert (ran.code, ran.err) == (0, "")
        assert said in ran.out


def test_doctor_finds_a_store_that_cannot_be_used_and_says_so_with_its_code(
    filled: str, tmp_path: Path, capsys: Captured
) -> None:
    good = vecmill_here(capsys, "doctor", "--store", filled, "--json")
    assert (good.code, {check["ok"] for check in good.json}) == (0, {True})
    key = '[pipelines.x]\ntable = "x"\nsource = { uri = "docs" }\nembedding = { provider = "openai", '
    write_pages(tmp_path, {"v.toml": key + 'model = "m", dimensions = 8, api_key_env = "NO_SUCH_KEY" }'})
    bad = vecmill_here(capsys, "doctor", "--config", str(tmp_path / "v.toml"), "--json")
    assert (bad.code, [check["check"] for check in bad.json if not check["ok"]]) == (3, ["key of x"])


def test_a_pipeline_runs_from_its_own_folder_as_a_process_of_its_own(tmp_path: Path, folder: Path) -> None:
    write_pages(tmp_path, {"vecmill.toml": '[pipelines.docs]\ntable = "handbook"\nsource = { uri = "docs" }'})
    ran = vecmill("ingest", "docs", "--json", cwd=tmp_path)
    assert (ran.code, ran.err) == (0, "")
    assert (ran.json["table"], ran.json["documents"]["new"]) == ("handbook", 3)
    assert len(rows(str(tmp_path / "vecmill-data"), "handbook")) == 3


@pytest.mark.slow
def test_a_server_that_does_not_answer_is_said_before_anything_is_done(folder: Path, tmp_path: Path) -> None:
    env = {"PREFECT_API_URL": "http://127.0.0.1:9/api"}
    ran = vecmill("ingest", "docs", "--table", "t", "--json", cwd=tmp_path, env=env)
    assert (ran.code, ran.json["error"]["kind"]) == (3, "InputError")
    said = "PREFECT_API_URL is http://127.0.0.1:9/api, which does not answer: "
    assert ran.json["error"]["message"].startswith(said)
    assert ran.err == f"error: {ran.json['error']['message']}\n"
    assert not (tmp_path / "vecmill-data").exists()


@pytest.mark.slow
@pytest.mark.parametrize("started", ["by a person", "in the background of a script"])
def test_an_interrupted_run_says_so_ends_with_130_and_pays_for_nothing_twice(
    started: str, folder: Path, store: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    ignoring = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]  # as scripts start what is in the background
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    with MeteredEndpoint(key="sk-test", latency=0.5) as endpoint:
        words = _ingest(folder, store, "--embedding", "openai/text-embedding-3-small@64")
        words += ["--base-url", endpoint.url, "--batch-inputs", "1", "--max-in-flight", "2"]
        process_words = [*(ignoring if "script" in started else []), *command(*words)]
        with subprocess.Popen(process_words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            while process.poll() is None and not endpoint.ledger.arrived:
                time.sleep(0.01)
            process.terminate()
            out, err = process.communicate(timeout=60)
        assert process.returncode == 130
        said = "interrupted; what was paid is kept"
        assert json.loads(out) == {"error": {"kind": "Interrupted", "message": said, "exit_code": 130}}
        assert err.decode() == f"error: {said}\n"
        [record] = _json(capsys, "runs", "--store", store)
        assert record["state"] == "cancelled"

        assert vecmill_here(capsys, *words).json["documents"]["new"] == 3
        assert (endpoint.ledger.texts_billed, endpoint.ledger.billed_more_than_once()) == (3, {})


@pytest.mark.slow
def test_maintain_says_what_it_would_do_does_it_and_then_finds_nothing_to_do(
    tmp_path: Path, store: str
) -> None:
    for number in range(12):
        folder = write_pages(tmp_path / "docs", {f"{number}.md": f"Page {number}. 第{number}頁。"})
        run(job_for(folder, store))
    words = ("maintain", "docs", "--store", store, "--keep-versions", "1", "--keep-days", "0")
    would = vecmill(*words, "--dry-run", cwd=tmp_path)
    assert (would.code, "would be compacted: 12 fragments" in would.out) == (0, True), would.err
    done = vecmill(*words, "--json", cwd=tmp_path).json
    assert done["tables"]["docs"]["compaction"]["fragments_after"] == 1
    assert "nothing to do" in vecmill(*words, cwd=tmp_path).err
    unknown = vecmill("maintain", "nothing", "--store", store, cwd=tmp_path)
    assert (unknown.code, "there is no table 'nothing'" in unknown.err) == (3, True)
