"""The run ledger: what ran, with which parameters, and how it ended."""

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from pipeline.errors import InputError, StoreRefused, VecmillError
from pipeline.job import Job
from pipeline.letters import DeadLetters
from pipeline.objects import Objects
from pipeline.processes import is_alive
from pipeline.staging import RECORD, SPENT, Staging


class Ledger:
    """The runs of a store."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    @contextmanager
    def recorded(
        self, job: Job, kind: str = "ingest", spent: Callable[[], dict[str, Any]] = dict
    ) -> Iterator[Callable[[dict[str, Any]], None]]:
        """Record a run from its start to its end; gives what takes the report of a finished run.

        However it ends, what it has `spent` is recorded.
        """
        staging = Staging(self._objects, job.run_id)
        record: dict[str, Any] = {
            "run_id": job.run_id,
            "kind": kind,
            "pipeline": job.pipeline,
            "table": job.table,
            "state": "running",
            "started_at": _now(),
            "ended_at": None,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "job": job.record(),
            "spent": None,
            "report": None,
            "error": None,
        }
        staging.write_json(RECORD, record)
        try:
            yield lambda report: record.update(report=report)
        except BaseException as error:
            state = "failed" if isinstance(error, Exception) else "cancelled"
            record.update(state=state, error=_said(error, job), ended_at=_now(), spent=spent())
            with suppress(StoreRefused):  # what ended the run says more than that it cannot be recorded
                staging.write_json(RECORD, record)
            raise
        record.update(state="finished", ended_at=_now(), spent=spent())
        staging.write_json(RECORD, record)

    def runs(self) -> list[dict[str, Any]]:
        """All runs, newest first; one whose process is gone without an end is `killed`."""
        found = [one for one in self._objects.each(self._read, self._objects.folders("runs")) if one]
        return sorted(found, key=lambda record: str(record["started_at"]), reverse=True)

    def run(self, run_id: str) -> dict[str, Any]:
        """One run, with its dead letters, each with its present state: open, dismissed or cleared."""
        record = self._read(run_id)
        if record is None:
            raise InputError(f"there is no run {run_id!r}; vecmill runs lists them")
        letters = Staging(self._objects, run_id).dead_letters()
        filed = DeadLetters(self._objects).all(record["table"]) if letters else []
        now = {letter.id: letter.state for letter in filed}
        states = [{**letter, "state": now.get(letter["id"], "cleared")} for letter in letters]
        return {**record, "dead_letters": states}

    def sums(self, by: Sequence[str]) -> list[dict[str, Any]]:
        """Runs, tokens and money by what `by` names of GROUPS; the latest group first.

        Raises InputError for a name that is none of these.
        """
        unknown = [name for name in by if name not in GROUPS]
        if unknown:
            raise InputError(f"runs cannot be summed by {unknown[0]!r}; name some of {', '.join(GROUPS)}")
        groups = dict[tuple[Any, ...], list[dict[str, Any]]]()
        for run in self.runs():
            groups.setdefault(tuple(GROUPS[name](run) for name in by), []).append(run)
        return [{**dict(zip(by, key, strict=True)), **_sum(runs)} for key, runs in groups.items()]

    def _read(self, run_id: str) -> dict[str, Any] | None:
        staging = Staging(self._objects, run_id)
        record = staging.read_json(RECORD)
        if record is None:
            return None
        # A run that has not ended has noted what it spent beside its record.
        return _judged({**record, "spent": record.get("spent") or staging.read_json(SPENT)})


GROUPS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "pipeline": lambda run: run["pipeline"],
    "table": lambda run: run["table"],
    "kind": lambda run: run["kind"],
    "state": lambda run: run["state"],
    "model": lambda run: run["job"]["space"]["provider"] + "/" + run["job"]["space"]["model"],
    "day": lambda run: run["started_at"][:10],
    "month": lambda run: run["started_at"][:7],
}
"""What runs can be summed by; days and months are UTC's."""


def _sum(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """What runs come to; the cost is None where the price of any is not known."""
    spent = [run["spent"] or {} for run in runs]
    costs = [one.get("cost_usd", 0.0) for one in spent]
    return {
        "runs": len(runs),
        "failed": sum(run["state"] in ("failed", "killed") for run in runs),
        **{name: sum(one.get(name, 0) for one in spent) for name in ("texts", "tokens", "requests")},
        "cost_usd": None if None in costs else sum(costs),
        "last": max(run["started_at"] for run in runs),
    }


def _judged(record: dict[str, Any]) -> dict[str, Any]:
    gone = (
        record["state"] == "running"
        and record["host"] == socket.gethostname()
        and not is_alive(record["pid"])
    )
    return {**record, "state": "killed"} if gone else record


def _said(error: BaseException, job: Job) -> str:
    if not isinstance(error, Exception):  # Ctrl-C, or the signal that ends a run on the dashboard
        return "interrupted"
    said = str(error) if isinstance(error, VecmillError) else f"{type(error).__name__}: {error}"
    key = job.endpoint.api_key
    return said.replace(key, "***") if key else said


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
