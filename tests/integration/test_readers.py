"""Readers beside runs that publish and people who go back: they see whole versions, and nothing else."""

import os
import re
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.errors import InputError
from pipeline.objects import Objects
from pipeline.store.compaction import compact
from pipeline.store.history import rollback
from pipeline.store.log import Log
from pipeline.store.table import open_version
from tests.support import job_for, run, write_pages

_POLLS = int(os.environ.get("VECMILL_POLLS", "1000"))
_PUBLISHES = 20
_PAGES = 6


def _pages(edition: int) -> dict[str, str]:
    """The pages of an edition: each names it, and there is one more of them in every other edition."""
    return {
        f"{number}.md": f"# Page {number}\n\nEdition {edition}.\n\n# 版\n\n第{edition}版の{number}頁。"
        for number in range(_PAGES + edition % 2)
    }


def _seen(rows: pa.Table) -> tuple[int, int]:
    """The edition that rows are of, and how many; raises AssertionError for a mixture."""
    texts, documents = rows["text"].to_pylist(), set(rows["doc_id"].to_pylist())
    [edition] = {found[1] for text in texts for found in re.finditer(r"(?:Edition |第)(\d+)[.版]", text)}
    whole = _PAGES + int(edition) % 2
    assert documents == {f"{number}.md" for number in range(whole)}
    assert len(rows) == 2 * whole
    return int(edition), len(rows)


def poll(store: str, over: Event, told: Connection) -> None:
    """Read what is live again and again; tells how often, which editions were seen, and what was wrong."""
    polls, editions, last = 0, list[int](), 0
    try:
        while not over.is_set() or polls < _POLLS:
            objects = Objects(store)
            entry = Log(objects, "docs").live()
            rows = open_version(objects, "docs", entry).to_table(columns=["doc_id", "text"])
            edition, count = _seen(rows)
            assert count == entry.chunks
            assert entry.version >= last
            polls, last = polls + 1, entry.version
            if editions[-1:] != [edition]:
                editions.append(edition)
    except (AssertionError, InputError, ValueError) as error:
        told.send((polls, editions, repr(error)))
        return
    told.send((polls, editions, ""))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_reader_that_polls_sees_whole_versions_only(tmp_path: Path) -> None:
    store, folder = str(tmp_path / "store"), tmp_path / "docs"
    run(job_for(write_pages(folder, _pages(0)), store))
    context = get_context("spawn")
    over, (receiver, sender) = context.Event(), context.Pipe(duplex=False)
    reader = context.Process(target=poll, args=(store, over, sender))
    reader.start()
    objects = Objects(store)
    try:
        for edition in range(1, _PUBLISHES + 1):
            for path in folder.iterdir():
                path.unlink()
            report = run(job_for(write_pages(folder, _pages(edition)), store))
            assert report.published
            if edition % 4 == 0:
                rollback(objects, "docs", 1)
            if edition % 10 == 0:
                compact(objects, Log(objects, "docs"))
    finally:
        over.set()
    assert receiver.poll(400)
    polls, editions, wrong = receiver.recv()
    reader.join(30)
    assert wrong == ""
    assert polls >= _POLLS
    assert len(editions) > _PUBLISHES // 2  # it did look while they changed
