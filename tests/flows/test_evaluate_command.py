"""vecmill evaluate, on pages whose answers are known."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from pipeline.space import Space
from tests.flows.inside import vecmill_here
from tests.support import job_for, run, write_pages

Captured = pytest.CaptureFixture[str]

_PAGES = {
    "rivers.md": "# Rivers\n\nRivers carry water from the mountains to the sea.",
    "bread.md": "# Bread\n\nKnead the dough, then bake it in the oven.",
    "stars.md": "# Stars\n\nTelescopes gather the light of distant stars.",
    "山.md": "# 山\n\n山の頂上には雪が残っている。",
    "料理.md": "# 料理\n\n味噌汁に豆腐とわかめを入れる。",
}
_ASKED = {"q1": "water of rivers", "q2": "bake dough", "q3": "山の雪", "q4": "豆腐の味噌汁"}
_ANSWERS = {"q1": "rivers.md", "q2": "bread.md", "q3": "山.md", "q4": "料理.md"}
_MEASURES = {"ndcg@10", "recall@10", "mrr@10", "map@10", "low", "high", "milliseconds"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("evaluate")
    folder = write_pages(made / "docs", _PAGES)
    run(job_for(folder, str(made / "store")))
    run(job_for(folder, str(made / "store"), table="wide", space=Space("local", "wordllama", 256)))
    _write(made / "queries.jsonl", [{"query_id": name, "text": text} for name, text in _ASKED.items()])
    answers = [{"query_id": name, "doc_id": doc, "relevance": 1} for name, doc in _ANSWERS.items()]
    _write(made / "qrels.jsonl", answers)
    pairs = [
        {"sentence1": "rivers carry water", "sentence2": text, "score": score}
        for text, score in (("rivers carry water", 5), ("a river has water", 4), ("bread", 1), ("豆腐", 0))
    ]
    _write(made / "pairs.jsonl", pairs)
    return made


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_bytes(b"\n".join(map(orjson.dumps, rows)))


def _words(home: Path, *more: str, table: str = "docs") -> list[str]:
    files = ["--queries", str(home / "queries.jsonl"), "--qrels", str(home / "qrels.jsonl")]
    return ["evaluate", table, *files, *more, "--store", str(home / "store")]


def test_each_mode_is_measured_and_the_run_is_in_the_ledger(home: Path, capsys: Captured) -> None:
    found = vecmill_here(capsys, *_words(home), "--json").json
    assert set(found["modes"]) == {"vector", "text", "hybrid"}
    assert all(set(one) == _MEASURES for one in found["modes"].values())
    assert found["modes"]["hybrid"]["recall@10"] == 1.0
    assert (found["queries"], found["version"]) == (4, 1)
    recorded = vecmill_here(capsys, "runs", found["run_id"], "--store", str(home / "store"), "--json").json
    assert (recorded["kind"], recorded["state"], recorded["report"]) == ("evaluate", "finished", found)
    shown = vecmill_here(capsys, "runs", found["run_id"], "--store", str(home / "store"))
    assert "ndcg@10" in shown.out


def test_versions_spaces_and_beginnings_of_vectors_are_one_table(home: Path, capsys: Captured) -> None:
    more = ["--against", "wide@1", "--modes", "vector,exact,funnel", "--dimensions", "32"]
    found = vecmill_here(capsys, *_words(home, *more), "--json").json
    assert [(row["table"], row["mode"], row["dimensions"]) for row in found["compared"]] == [
        *(("docs", mode, 64) for mode in ("vector", "exact", "funnel")),
        ("docs", "exact", 32),
        *(("wide", mode, 256) for mode in ("vector", "exact", "funnel")),
        ("wide", "exact", 32),
    ]
    shown = vecmill_here(capsys, *_words(home, *more)).out
    assert "local/wordllama@256" in shown
    assert "95 %" in shown


def test_a_table_that_is_not_good_enough_fails_and_the_ledger_says_what_was_found(
    home: Path, capsys: Captured
) -> None:
    assert vecmill_here(capsys, *_words(home, "--at-least", "0.5"), "--json").code == 0
    qrels = [{"query_id": name, "doc_id": "stars.md", "relevance": 1} for name in _ASKED]
    _write(home / "wrong.jsonl", qrels)
    words = [*_words(home, "--at-least", "0.9")]
    words[words.index(str(home / "qrels.jsonl"))] = str(home / "wrong.jsonl")
    ran = vecmill_here(capsys, *words, "--json")
    assert ran.code == 5
    assert "and 0.9 is asked for" in ran.json["error"]["message"]
    last = vecmill_here(capsys, "runs", "--store", str(home / "store"), "--json").json[0]
    assert (last["kind"], last["state"]) == ("evaluate", "failed")
    assert last["report"]["modes"]["vector"]["ndcg@10"] < 0.9


def test_pairs_of_sentences_tell_how_well_a_space_agrees_with_people(home: Path, capsys: Captured) -> None:
    words = ["evaluate", "docs", "--pairs", str(home / "pairs.jsonl"), "--store", str(home / "store")]
    [found] = vecmill_here(capsys, *words, "--json").json["pairs"]
    assert (found["space"], found["pairs"]) == ("local/wordllama@64", 4)
    assert found["spearman"] > 0.7
    assert "spearman" in vecmill_here(capsys, *words).out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--modes", "magic"], 3, "there is no mode 'magic' to evaluate"),
        (["--dimensions", "64"], 3, "can be cut to 1 to 63"),
        (["--dimensions", "x"], 2, "write numbers such as 64,128"),
        (["--against", "nope"], 3, "there is no table 'nope'"),
        (["--against", "docs@9"], 3, "has no version 9"),
        (["--at-least", "1.5"], 2, "at_least"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(
    home: Path, words: list[str], code: int, said: str, capsys: Captured
) -> None:
    ran = vecmill_here(capsys, *_words(home, *words), "--json")
    assert (ran.code, said in ran.json["error"]["message"]) == (code, True), ran.out


def test_questions_without_answers_and_nothing_at_all_are_refused(home: Path, capsys: Captured) -> None:
    store = ["--store", str(home / "store"), "--json"]
    one = vecmill_here(capsys, "evaluate", "docs", "--queries", str(home / "queries.jsonl"), *store)
    assert "`queries` and `qrels` go together" in one.json["error"]["message"]
    none = vecmill_here(capsys, "evaluate", "docs", *store)
    assert (none.code, "or `pairs` of sentences" in none.json["error"]["message"]) == (2, True)


def test_answers_that_the_table_does_not_hold_are_refused(home: Path, capsys: Captured) -> None:
    _write(home / "gone.jsonl", [{"query_id": "q1", "doc_id": "gone.md", "relevance": 1}])
    words = _words(home)
    words[words.index(str(home / "qrels.jsonl"))] = str(home / "gone.jsonl")
    ran = vecmill_here(capsys, *words, "--json")
    assert (ran.code, "'gone.md'" in ran.json["error"]["message"]) == (3, True)


def test_an_answer_that_the_table_does_not_hold_counts_as_not_found_and_is_told(
    home: Path, capsys: Captured
) -> None:
    answers = [{"query_id": "q1", "doc_id": name, "relevance": 1} for name in ("gone.md", "rivers.md")]
    _write(home / "some.jsonl", answers)
    words = _words(home)
    words[words.index(str(home / "qrels.jsonl"))] = str(home / "some.jsonl")
    found = vecmill_here(capsys, *words, "--json").json
    assert (found["absent"], found["modes"]["text"]["recall@10"]) == (1, 0.5)
    assert "no chunk of 1 documents" in vecmill_here(capsys, *words).err
