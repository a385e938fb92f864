"""The run ledger: how each run began and ended."""

import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from pipeline.errors import InputError, ProviderRefused, StoreRefused
from pipeline.job import Endpoint, Job, Secret, SourceSpec
from pipeline.ledger import Ledger
from pipeline.letters import DeadLetters
from pipeline.model import DeadLetter
from pipeline.objects import Objects
from pipeline.staging import RECORD, SPENT, Staging
from tests.support import job_for

_KEY = "sk-very-secret"


@pytest.fixture
def job(tmp_path: Path, store: str) -> Job:
    endpoint = Endpoint("http://localhost/v1", Secret(_KEY))
    return job_for(SourceSpec("files", str(tmp_path)), store, endpoint=endpoint)


@pytest.fixture
def ledger(store: str) -> Ledger:
    return Ledger(Objects(store, create=True))


def test_a_run_is_recorded_from_its_start_and_with_its_report(ledger: Ledger, job: Job) -> None:
    with ledger.recorded(job) as record:
        [running] = ledger.runs()
        assert (running["state"], running["ended_at"], running["pid"]) == ("running", None, os.getpid())
        record({"version": 3})
    [run] = ledger.runs()
    assert (run["state"], run["report"], run["error"]) == ("finished", {"version": 3}, None)
    assert run["started_at"] <= run["ended_at"]
    assert (run["run_id"], run["kind"], run["table"]) == (job.run_id, "ingest", "docs")
    assert run["job"]["splitter"]["max_tokens"] == 64
    assert ledger.run(job.run_id) == {**run, "dead_letters": []}


@pytest.mark.parametrize(
    ("error", "state", "said"),
    [
        (ProviderRefused(f"the key {_KEY} is refused"), "failed", "the key *** is refused"),
        (ValueError(f"a defect near {_KEY}"), "failed", "ValueError: a defect near ***"),
        (KeyboardInterrupt(), "cancelled", "interrupted"),
    ],
)
def test_a_run_that_fails_says_why_and_never_shows_its_key(
    ledger: Ledger, job: Job, store: str, error: BaseException, state: str, said: str
) -> None:
    with pytest.raises(type(error)) as raised, ledger.recorded(job):
        raise error
    assert raised.value is error
    run = ledger.run(job.run_id)
    assert (run["state"], run["error"], run["report"]) == (state, said, None)
    assert all(_KEY.encode() not in path.read_bytes() for path in Path(store).rglob("*") if path.is_file())


def test_what_ended_a_run_is_not_hidden_by_a_store_that_fails_too(
    ledger: Ledger, job: Job, store: str
) -> None:
    folder = Path(store, "runs", job.run_id)

    def fail() -> None:
        folder.rename(f"{store}/aside")
        folder.write_text("in the way", "utf-8")
        raise ProviderRefused("the quota is gone")

    with pytest.raises(ProviderRefused, match="quota"), ledger.recorded(job):
        fail()


def test_a_run_that_cannot_be_recorded_does_not_begin(ledger: Ledger, job: Job, store: str) -> None:
    Path(store, "runs").write_text("in the way", "utf-8")
    begun = False
    with pytest.raises(StoreRefused), ledger.recorded(job):
        begun = True
    assert not begun


def _record(store: str, run_id: str, **facts: Any) -> None:
    record = {
        "run_id": run_id,
        "table": "docs",
        "state": "running",
        "started_at": "2026-01-01T00:00:00.000+00:00",
        "ended_at": None,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        **facts,
    }
    Staging(Objects(store, create=True), run_id).write_json(RECORD, record)


def test_a_run_whose_process_is_gone_was_killed(ledger: Ledger, store: str) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    _record(store, "1-here")
    _record(store, "2-gone", pid=gone.pid)
    _record(store, "3-elsewhere", pid=gone.pid, host="another-host")
    _record(store, "4-done", pid=gone.pid, state="finished")
    states = {run["run_id"]: run["state"] for run in ledger.runs()}
    assert states == {"1-here": "running", "2-gone": "killed", "3-elsewhere": "running", "4-done": "finished"}
    assert ledger.run("2-gone")["state"] == "killed"


def test_runs_are_listed_newest_first_also_within_one_second(ledger: Ledger, store: str) -> None:
    times = {"b": "00:00:01.100", "c": "00:00:01.000", "a": "00:00:01.200", "d": "00:00:00.900"}
    for name, time in times.items():
        _record(store, f"20260101T000001-{name}", started_at=f"2026-01-01T{time}+00:00")
    assert [run["run_id"][-1] for run in ledger.runs()] == ["a", "b", "c", "d"]


def test_a_run_shows_its_dead_letters_and_what_has_become_of_them(
    ledger: Ledger, job: Job, store: str
) -> None:
    staging, letters = Staging(Objects(store), job.run_id), DeadLetters(Objects(store))
    with ledger.recorded(job):
        staging.bury("split", [DeadLetter("頁.md", "file:///x", "split", "is no text", "抜粋")])
        letters.file(job.table, job.run_id, staging.dead_letters())
    [letter] = ledger.run(job.run_id)["dead_letters"]
    assert (letter["doc_id"], letter["excerpt"], letter["state"]) == ("頁.md", "抜粋", "open")
    letters.dismiss(letters.all(), "somebody", "it is a picture")
    assert ledger.run(job.run_id)["dead_letters"][0]["state"] == "dismissed"
    letters.clear(letters.all())
    assert ledger.run(job.run_id)["dead_letters"][0]["state"] == "cleared"


def test_what_a_run_has_spent_is_recorded_however_it_ends(ledger: Ledger, job: Job) -> None:
    with ledger.recorded(replace(job, run_id="1"), spent=lambda: {"tokens": 1}):
        pass
    with (
        pytest.raises(KeyboardInterrupt),
        ledger.recorded(replace(job, run_id="2"), spent=lambda: {"tokens": 2}),
    ):
        raise KeyboardInterrupt
    assert {run["run_id"]: run["spent"] for run in ledger.runs()} == {"1": {"tokens": 1}, "2": {"tokens": 2}}


def test_a_killed_run_has_spent_what_it_noted_last(ledger: Ledger, store: str) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    _record(store, "1", pid=gone.pid)
    Staging(Objects(store), "1").write_json(SPENT, {"tokens": 7})
    assert [(run["state"], run["spent"]) for run in ledger.runs()] == [("killed", {"tokens": 7})]


@pytest.mark.parametrize("run_id", ["nope", "../runs", "", "a/b", "."])
def test_an_unknown_run_is_bad_input(ledger: Ledger, run_id: str) -> None:
    with pytest.raises(InputError):
        ledger.run(run_id)
    assert ledger.runs() == []


def test_a_folder_without_a_record_is_no_run(ledger: Ledger, store: str) -> None:
    Objects(store).put("runs/stray/chunks/000000.parquet", b"")
    assert ledger.runs() == []


def test_the_record_is_json_that_others_can_read(ledger: Ledger, job: Job, store: str) -> None:
    with ledger.recorded(job):
        pass
    record = orjson.loads(Path(store, "runs", job.run_id, "run.json").read_bytes())
    assert record["job"]["endpoint"]["api_key"] is None
    assert record["job"]["source"] == {
        "kind": "files",
        "uri": job.source.uri,
        "glob": None,
        "text": None,
        "id": None,
        "markup": False,
        "where": None,
    }
