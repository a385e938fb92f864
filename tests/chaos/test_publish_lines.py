"""A publish that ends at each of its lines in turn, and is tried again: one version of the run, and whole."""

import shutil
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from pipeline.model import DocumentCounts
from pipeline.objects import Objects
from pipeline.stages import publish as stage
from pipeline.stages.publish import publish
from pipeline.store import log, table
from pipeline.store.log import Log
from tests.pipeline.stages.steps import assembled, begin
from tests.support import job_for, rows, run, write_pages

_FILES = {module.__file__ for module in (stage, table, log)}


class Ended(BaseException):
    """The process is gone."""


class Countdown:
    """Ends what runs at the n-th line of a publish, of its table or of its log."""

    def __init__(self, line: int) -> None:
        self.left = line

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        """Look at a call, or at a line."""
        if frame.f_code.co_filename not in _FILES:
            return None
        if event == "line":
            self.left -= 1
            if not self.left:
                sys.settrace(None)
                raise Ended
        return self


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_publish_that_ends_at_any_line_is_made_once_by_the_next_try(tmp_path: Path) -> None:
    folder = write_pages(tmp_path / "docs", {f"{n}.md": f"Page {n}. 第{n}頁。" for n in range(4)})
    made, store = tmp_path / "made", tmp_path / "store"
    run(job_for(folder, str(store)))
    (folder / "3.md").unlink()
    write_pages(folder, {"0.md": "Another. 別の頁。", "4.md": "New. 新しい。"})
    job = job_for(folder, str(store))
    assembled(job)
    store.rename(made)
    line, ended = 0, True
    while ended:
        line += 1
        shutil.copytree(made, store)
        context = begin(job)
        sys.settrace(Countdown(line))
        try:
            publish(context, DocumentCounts(new=1, changed=1, deleted=1))
            ended = False
        except Ended:
            pass
        finally:
            sys.settrace(None)
        assert len(rows(str(store))) == 4  # the version before, or this one
        published = publish(context, DocumentCounts(new=1, changed=1, deleted=1))
        assert published is not None
        assert (published.version, published.chunks.inserted, published.chunks.deleted) == (2, 2, 2)
        entries = Log(Objects(str(store)), "docs").entries()
        assert [entry.run_id for entry in entries if entry.run_id == job.run_id] == [job.run_id]
        assert sorted(rows(str(store))["doc_id"].to_pylist()) == ["0.md", "1.md", "2.md", "4.md"]
        shutil.rmtree(store)
    assert line > 60
