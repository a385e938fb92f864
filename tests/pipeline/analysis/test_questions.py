"""Sentences drawn from a table."""

from pathlib import Path

from pipeline.analysis.questions import drawn
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
