"""What runs in other processes than the test's own, so that runs can race, and be killed."""

import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from multiprocessing import get_context
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline import schema
from pipeline.cache import VectorCache
from pipeline.job import Job
from pipeline.model import DocumentCounts
from pipeline.objects import Objects
from pipeline.run import Report
from pipeline.splitter_spec import SplitterSpec
from pipeline.stages.publish import publish
from pipeline.store.table import ensure_generation
from tests.pipeline.stages.steps import assembled, begin
from tests.support import LOCAL, run

_start: Any = None  # the barrier at which the rivals wait for one another


class Rivals:
    """Processes that do the same thing at the same moment."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def race(self, step: Any, *arguments: Sequence[Any]) -> list[Any]:
        """Call a step in all processes at once, each with arguments of its own; gives the results."""
        return list(self._pool.map(step, *arguments, timeout=280))


@contextmanager
def processes(count: int = 2) -> Iterator[Rivals]:
    """Start the rivals; Lance is not fork-safe, so they are spawned."""
    context = get_context("spawn")
    barrier = context.Barrier(count)
    with ProcessPoolExecutor(count, context, initializer=_enter, initargs=(barrier,)) as pool:
        yield Rivals(pool)


def _enter(barrier: Any) -> None:
    global _start
    _start = barrier


def ingest_at_once(jobs: Sequence[Job]) -> list[Report]:
    """Run jobs one after another, each at the same moment as the rival's."""
    reports = []
    for job in jobs:
        _start.wait(120)
        reports.append(run(job))
    return reports


def create_at_once(stores: Sequence[str], name: str) -> None:
    """Create a generation and a cache in each store, and append to the cache, at the rival's moment."""
    for store in stores:
        objects = Objects(store, create=True)
        _start.wait(120)
        ensure_generation(objects, "docs", "1-ab", LOCAL, SplitterSpec())
        for number in range(3):
            VectorCache(objects, LOCAL).append(vectors([f"{name}-{number}"]))


def publish_at_once(job: Job, documents: DocumentCounts) -> int | None:
    """Publish what another process has assembled, at the rival's moment; gives the version."""
    context = begin(job)
    _start.wait(120)
    published = publish(context, documents)
    return published.version if published else None


def ingest_by_another_clock(job: Job, hours: float) -> Report:
    """Run a job on a machine whose clock is wrong by so many hours."""

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Wrong":
            return cls.fromtimestamp(datetime.now(UTC).timestamp() + 3600 * hours, tz)

    modules = ("stages.publish", "stages.assemble", "ledger", "letters", "store.history")
    with pytest.MonkeyPatch.context() as patch:
        for module in modules:
            patch.setattr(f"pipeline.{module}.datetime", Wrong)
        _start.wait(120)
        return run(job)


def vectors(hashes: Sequence[str]) -> pa.Table:
    """Rows of a cache."""
    flat = np.ones(64 * len(hashes), dtype=np.float32)
    column = pa.FixedSizeListArray.from_arrays(pa.array(flat), 64)
    return pa.table([pa.array(hashes), column], schema=schema.vectors(64))


class KilledAtTheLog(Objects):
    """A store whose process dies where it is about to write a log entry."""

    def create(self, path: str, data: bytes) -> bool:
        """Write an object only if there is none; of the log there will be none."""
        if "/log/" in path:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().create(path, data)


def killed_before_its_entry(job: Job) -> None:
    """Run a job up to its Lance commit, and die."""
    context, documents = assembled(job)
    publish(replace(context, store=KilledAtTheLog(job.store)), documents)
