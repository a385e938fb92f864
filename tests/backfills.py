"""Short ways to what tests of backfills need."""

from contextlib import nullcontext
from typing import Any

from pipeline import ids
from pipeline.backfill import Filling, backfill, brought_live
from pipeline.engine import InlineEngine
from pipeline.job import PART, Job, SourceSpec
from pipeline.objects import Objects
from pipeline.ports import Engine, EngineFactory, Runner, run_here
from pipeline.space import Space
from pipeline.splitter_spec import SplitterSpec
from pipeline.store.generations import generation_for
from pipeline.store.log import Entry, Log

WIDE = Space("local", "wordllama", 128)
SPLITTER = SplitterSpec(max_tokens=64)


def engines(_: int) -> Any:
    """An engine in this process."""
    return nullcontext[Engine](InlineEngine())


def filling_job(store: str, where: str | None = None, **changes: Any) -> Job:
    """The job of a backfill of the table `docs` into a wider space, unless `changes` says otherwise."""
    values: dict[str, Any] = {"table": "docs", "space": WIDE, "splitter": SPLITTER, **changes}
    generation = generation_for(Objects(store), values["table"], values["space"], values["splitter"])
    return Job(
        ids.new_run_id(),
        store,
        source=SourceSpec("table", values["table"], where=where),
        generation=generation,
        **values,
    )


def fill(job: Job, part: int = PART, runner: Runner = run_here, engines: EngineFactory = engines) -> Filling:
    """Run a backfill in this process."""
    return backfill(job, engines, runner, part=part)


def switched(job: Job, filling: Filling) -> Entry:
    """Switch to what was filled; gives the new live version."""
    return brought_live(job, filling, engines)[1]


def live(store: str, table: str = "docs") -> Entry:
    """The live version."""
    return Log(Objects(store), table).live()
