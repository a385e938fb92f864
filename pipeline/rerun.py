"""Reruns: a recorded run taken up where it ended, or repeated."""

import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pipeline.backfill import backfill, brought_live
from pipeline.errors import InputError
from pipeline.job import PART, Job, SourceSpec
from pipeline.letters import DeadLetters
from pipeline.objects import Objects
from pipeline.ports import EngineFactory, Progress, Runner, run_here, silent
from pipeline.run import ingest
from pipeline.store.generations import generation_for
from pipeline.store.log import Log

SCOPES = ("failed", "all")


@dataclass(frozen=True, slots=True)
class Rerun:
    """What is to be done again."""

    job: Job
    switches: bool = False  # whether the table goes over to the generation that the job fills


def planned(objects: Objects, run: Mapping[str, Any], job: Job, scope: str) -> Rerun:
    """What a rerun does; `run` is the ledger's record of the run, and `job` its job, perhaps changed.

    "failed" is what is missing: of a run that did not end well all that it had not come to, of a finished one
    the documents of its dead letters that are still open. "all" is every document, changed or not; where the
    table is of another space or splitter than the job, the whole table is brought over, and switched to.
    Raises InputError for a run that is still under way.
    """
    # Of another machine's process nobody here can tell; to run beside it does no harm.
    if run["state"] == "running" and run["host"] == socket.gethostname():
        raise InputError(f"run {run['run_id']} is under way, as process {run['pid']}; wait for it, or end it")
    again = replace(job, rerun_of=run["run_id"])
    if scope == "all":
        return _all_of(objects, again)
    if run["state"] != "finished":
        return Rerun(again)
    letters = DeadLetters(objects).all(job.table)
    failed = {one.doc_id for one in letters if one.run_id == run["run_id"] and one.state == "open"}
    # They have failed before, and may again: what goes through is published.
    budget = replace(again.budget, failures=1.0)
    return Rerun(replace(again, only=tuple(sorted(failed - {""})), everything=False, budget=budget))


def _all_of(objects: Objects, job: Job) -> Rerun:
    live = Log(objects, job.table).last()
    if job.generation or live is None or live.specs() == (job.space, job.splitter):
        return Rerun(replace(job, everything=job.only is None))
    generation = generation_for(objects, job.table, job.space, job.splitter)
    source = SourceSpec("table", job.table)
    return Rerun(replace(job, source=source, generation=generation, only=None), switches=True)


def rerun(
    again: Rerun,
    engines: EngineFactory,
    runner: Runner = run_here,
    progress: Progress = silent,
    clock: Callable[[], float] = time.monotonic,
    *,
    part: int = PART,
) -> dict[str, Any]:
    """Do a run again; gives its report as JSON, that of a backfill in the words of an ingest's.

    Raises as `ingest` and `backfill` do.
    """
    job = again.job
    if job.generation is None:
        return ingest(job, engines, runner, progress, clock).record()
    filling = backfill(job, engines, runner, progress, clock, part=part)
    version, published = filling.level_with, False
    if again.switches:
        filling, entry = brought_live(job, filling, engines, runner, progress)
        version, published = entry.version, True
    return {**filling.record(), "version": version, "published": published}
