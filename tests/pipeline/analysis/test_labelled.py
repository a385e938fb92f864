"""Labelled sets, and how well a ranking finds what answers their queries."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.analysis.labelled import Exam, Labelled, Mean, Ranking, ndcg
from pipeline.errors import InputError
from pipeline.ports import Vectors

Rows = Sequence[Mapping[str, object]]

QUERIES: Rows = [{"query_id": "q1", "text": "water"}, {"query_id": "q2", "text": "山"}]
QRELS: Rows = [
    {"query_id": "q1", "doc_id": "a", "relevance": 2},
    {"query_id": "q1", "doc_id": "b", "relevance": 1},
    {"query_id": "q2", "doc_id": "c", "relevance": 1},
    {"query_id": "q2", "doc_id": "a", "relevance": 0},
]
WORDS = ("water", "山", "fire")


def _write(path: Path, rows: Rows) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), path)
    elif path.suffix == ".csv":
        lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
        path.write_text("\n".join(lines) + "\n", "utf-8")
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def _embed(texts: Sequence[str]) -> Vectors:
    """One direction a word; a text of several words lies between them."""
    found = np.array([[float(word in text) for word in WORDS] for text in texts], np.float32).reshape(-1, 3)
    found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1)
    return found


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".ndjson", ".parquet"])
def test_a_labelled_set_is_read_from_each_kind_of_rows(suffix: str, tmp_path: Path) -> None:
    queries, qrels = _write(tmp_path / f"q{suffix}", QUERIES), _write(tmp_path / f"r{suffix}", QRELS)
    labelled = Labelled.read(queries, qrels)
    assert labelled.queries == {"q1": "water", "q2": "山"}
    assert labelled.grades == {"q1": {"a": 2.0, "b": 1.0}, "q2": {"c": 1.0}}


def test_a_query_without_a_relevant_document_is_left_out(tmp_path: Path) -> None:
    queries, qrels = _write(tmp_path / "q.csv", QUERIES), _write(tmp_path / "r.csv", QRELS[:2])
    assert Labelled.read(queries, qrels).queries == {"q1": "water"}


@pytest.mark.parametrize(
    ("queries", "qrels", "said"),
    [
        (QUERIES, [{"query_id": "q1"}], "r.csv has no column 'doc_id'; it needs query_id, doc_id, relevance"),
        ([{"query_id": "q1", "words": "x"}], QRELS, "q.csv has no column 'text'; it needs query_id, text"),
        ([QUERIES[0], QUERIES[0]], QRELS, "q.csv: line 3 has the query_id 'q1' again"),
        (
            QUERIES,
            [{"query_id": "q1", "doc_id": "a", "relevance": "high"}],
            "r.csv: line 2 has the relevance 'high', which is no number",
        ),
        (
            QUERIES,
            [{"query_id": "q1", "doc_id": "a", "relevance": "inf"}],
            "r.csv: line 2 has the relevance 'inf', which is no number",
        ),
        (QUERIES, [{"query_id": "q1", "doc_id": "a", "relevance": ""}], "r.csv: line 2 has no 'relevance'"),
        (
            QUERIES,
            [{"query_id": f"x{n}", "doc_id": "a", "relevance": 1} for n in range(5)],
            "q.csv lacks: 'x0', 'x1', 'x2' and 2 more",
        ),
        (QUERIES, [QRELS[3]], "has no relevant document for any query; a relevance above 0 says so"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_its_place(
    queries: Rows, qrels: Rows, said: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as raised:
        Labelled.read(_write(tmp_path / "q.csv", queries), _write(tmp_path / "r.csv", qrels))
    assert said in str(raised.value)


def test_json_lines_are_checked_row_by_row(tmp_path: Path) -> None:
    queries = _write(tmp_path / "q.jsonl", [*QUERIES, {"query_id": "q3"}])
    with pytest.raises(InputError, match=r"q\.jsonl: line 3 has no 'text'; it needs query_id, text"):
        Labelled.read(queries, _write(tmp_path / "r.jsonl", QRELS))


@pytest.mark.parametrize(
    ("name", "said"), [("none.csv", "there is no file"), ("q.txt", "holds no rows; use .csv")]
)
def test_a_file_that_is_not_there_or_holds_no_rows_is_refused(name: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "q.txt").write_text("query_id,text\n")
    with pytest.raises(InputError, match=said):
        Labelled.read(tmp_path / name, _write(tmp_path / "r.csv", QRELS))


def test_relevant_documents_that_the_source_lacks_are_named() -> None:
    labelled = Labelled({"q": "x"}, {"q": {"a": 1.0, "b": 1.0}})
    labelled.check(["a", "b", "c"])
    with pytest.raises(InputError) as raised:
        labelled.check(["a.md"])
    said = "relevant documents are not in the source, whose ids are such as 'a.md': 'a', 'b'"
    assert str(raised.value) == said


@pytest.mark.parametrize(
    ("ranking", "value"),
    [
        (["a", "b", "x"], 1.0),
        (["b", "a"], (1 + 2 / math.log2(3)) / (2 + 1 / math.log2(3))),
        (["x", "a"], (2 / math.log2(3)) / (2 + 1 / math.log2(3))),
        (["x", "y"], 0.0),
        ([], 0.0),
        ([*"0123456789", "a"], 0.0),
    ],
)
def test_a_ranking_gains_what_its_first_ten_are_worth(ranking: list[str], value: float) -> None:
    assert ndcg(ranking, {"a": 2.0, "b": 1.0}) == pytest.approx(value)


def test_a_document_ranks_where_its_best_chunk_does() -> None:
    ranking = Ranking(_embed)
    ranking.add("mixed", ["water 山 fire"])
    ranking.add("none", [])
    ranking.add("split", ["fire", "water"])
    ranking.add("other", ["山"])
    assert list(ranking.best(_embed(["water", "山"]))) == [
        ["split", "mixed", "other"],
        ["other", "mixed", "split"],
    ]


def test_only_the_ten_best_documents_are_given_and_equal_ones_in_their_order() -> None:
    ranking = Ranking(_embed)
    for number in range(30):
        ranking.add(f"{number}", ["water"])
    assert list(ranking.best(_embed(["water"]))) == [[str(number) for number in range(10)]]


def test_an_empty_ranking_finds_nothing() -> None:
    assert list(Ranking(_embed).best(_embed(["water", "山"]))) == [[], []]


def test_an_exam_scores_each_ranking_with_queries_embedded_once() -> None:
    embedded: list[Sequence[str]] = []

    def embed(texts: Sequence[str]) -> Vectors:
        embedded.append(texts)
        return _embed(texts)

    exam = Exam.of(Labelled({"q1": "water", "q2": "山"}, {"q1": {"a": 1.0}, "q2": {"b": 1.0}}), embed)
    for texts, score in ((["water"], Mean(1.0, 1.0, 1.0)), (["fire"], Mean(0.8155, 0.4538, 1.0))):
        ranking = exam.ranking()
        ranking.add("b", ["山"])
        ranking.add("a", texts)
        assert exam.score(ranking) == score
    assert embedded == [["water", "山"], ["山", "water"], ["山", "fire"]]


def test_the_mean_of_one_query_has_no_margin() -> None:
    assert Mean.of([0.5]) == Mean(0.5, 0.5, 0.5)
