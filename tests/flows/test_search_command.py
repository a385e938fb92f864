"""vecmill search, on a table of rows with metadata."""

from pathlib import Path

import orjson
import pytest

from pipeline.job import SourceSpec
from tests.flows.inside import vecmill_here
from tests.support import job_for, run

Captured = pytest.CaptureFixture[str]

_ROWS = [
    {"id": "r1", "body": "Rivers carry water to the sea.", "lang": "en", "year": 2019},
    {"id": "r2", "body": "Bread is baked in hot ovens.", "lang": "en", "year": 2024},
    {"id": "r3", "body": "山の頂上には雪が残っている。", "lang": "ja", "year": 2024},
    {"id": "r4", "body": "味噌汁に豆腐とわかめを入れる。", "lang": "ja", "year": 2019},
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("search-command")
    (made / "rows.jsonl").write_bytes(b"\n".join(map(orjson.dumps, _ROWS)))
    source = SourceSpec("rows", str(made / "rows.jsonl"), text="body", id="id")
    run(job_for(source, str(made / "store")))
    asked = [{"query_id": "a", "text": "豆腐"}, {"query_id": "b", "text": "hot ovens"}]
    (made / "queries.jsonl").write_bytes(b"\n".join(map(orjson.dumps, asked)))
    return made


def test_a_condition_on_metadata_narrows_a_search(home: Path, capsys: Captured) -> None:
    where = "metadata->>'lang' = 'ja' and (metadata->>'year')::int > 2020"
    ran = vecmill_here(capsys, "search", "water", "--where", where, "--store", str(home / "store"), "--json")
    assert [hit["doc_id"] for hit in ran.json] == ["r3"]


def test_a_file_of_queries_is_answered_query_by_query(home: Path, capsys: Captured) -> None:
    words = [
        "search",
        "--queries",
        str(home / "queries.jsonl"),
        "--top-k",
        "1",
        "--store",
        str(home / "store"),
    ]
    ran = vecmill_here(capsys, *words, "--json")
    assert [(one["query_id"], one["query"], one["hits"][0]["doc_id"]) for one in ran.json] == [
        ("a", "豆腐", "r4"),
        ("b", "hot ovens", "r2"),
    ]
    shown = vecmill_here(capsys, *words).out
    assert shown.index("豆腐") < shown.index("r4") < shown.index("hot ovens") < shown.index("r2")


@pytest.mark.parametrize("words", [[], ["q", "--queries", "x.jsonl"]])
def test_one_query_or_a_file_of_them_is_asked_for(home: Path, words: list[str], capsys: Captured) -> None:
    ran = vecmill_here(capsys, "search", *words, "--store", str(home / "store"), "--json")
    assert ran.code == 2
    assert "search takes one query, or a file of them with --queries" in ran.json["error"]["message"]


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2", "l1"])
def test_every_metric_finds_what_is_meant(home: Path, metric: str, capsys: Captured) -> None:
    words = ["search", "baked bread", "--mode", "vector", "--metric", metric, "--top-k", "2"]
    ran = vecmill_here(capsys, *words, "--store", str(home / "store"), "--json")
    first, second = (hit["score"] for hit in ran.json)
    assert ran.json[0]["doc_id"] == "r2"
    assert first > second
