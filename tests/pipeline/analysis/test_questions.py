"""Questions from a file, and sentences drawn from a table."""

from pathlib import Path

import pytest

from pipeline.analysis.questions import drawn, read_questions
from pipeline.errors import InputError
from pipeline.objects import Objects
from pipeline.store.log import Log
from pipeline.store.table import open_version
from tests.support import job_for, run, write_pages


def _dataset(tmp_path: Path, store: str, pages: dict[str, str]) -> object:
    run(job_for(write_pages(tmp_path / "docs", pages), store))
    objects = Objects(store)
    return open_version(objects, "docs", Log(objects, "docs").live())


def test_sentences_are_drawn_from_chunks_the_same_ones_again(tmp_path: Path, store: str) -> None:
    pages = {
        "a.md": "# Rivers\n\n> It rained. The river rose by three inches in one night.",
        "b.md": "# 川\n\n雨が降った。一晩で川の水かさが三寸も増えたという。",
    }
    dataset = _dataset(tmp_path, store, pages)
    found = drawn(dataset, 10)
    assert sorted(found) == [
        "The river rose by three inches in one night.",
        "一晩で川の水かさが三寸も増えたという。",
    ]
    assert drawn(dataset, 10) == found
    assert len(drawn(dataset, 1)) == 1


def test_what_has_no_sentence_of_a_questions_length_is_cut(tmp_path: Path, store: str) -> None:
    dataset = _dataset(tmp_path, store, {"a.md": "word" * 80, "b.md": "short"})
    assert sorted(map(len, drawn(dataset, 10)))[0] == 5
    assert max(map(len, drawn(dataset, 10))) <= 200


def test_questions_are_read_once_each_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.write_text("query_id,text\n1,how deep?\n2,川の深さは？\n3,how deep?\n", "utf-8")
    assert read_questions(path) == ["how deep?", "川の深さは？"]


@pytest.mark.parametrize(
    ("content", "said"),
    [("text\n", "holds no questions"), ("query\nx\n", "no column 'text'"), ("text,n\n,1\n", "has no text")],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_place(
    tmp_path: Path, content: str, said: str
) -> None:
    path = tmp_path / "q.csv"
    path.write_text(content, "utf-8")
    with pytest.raises(InputError, match=said):
        read_questions(path)
    with pytest.raises(InputError, match="there is no file"):
        read_questions(tmp_path / "none.csv")
