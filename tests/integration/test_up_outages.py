"""vecmill up while things fail: the server, its database, the worker, a run."""

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass

import pytest

from tests.dashboard import IN_FLIGHT, Up, metered, pages, until
from tests.endpoint import MeteredEndpoint
from tests.support import rows, write_pages

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def _kill(pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


@dataclass(frozen=True)
class Machine:
    """vecmill up with a pipeline for each test, which sends to a provider of its own that takes its time."""

    up: Up
    endpoints: dict[str, MeteredEndpoint]

    def sends(self, table: str) -> str:
        """Start a run of a pipeline, and wait until it sends; gives its id."""
        run, ledger = self.up.run(f"ingest/{table}"), self.endpoints[table].ledger
        until(lambda: ledger.texts_billed >= 6 or self.up.state(run) == "FAILED", 150, "the run sends")
        assert self.up.state(run) == "RUNNING", self.up.get(f"/flow_runs/{run}")["state"]
        return run

    def assert_done(self, table: str, paid_again: int = 0) -> None:
        """Check that every page is in the table, and that few enough were paid for twice."""
        assert len(rows(str(self.up.folder / "store"), table)) == _COUNT
        assert len(self.endpoints[table].ledger.billed_more_than_once()) <= paid_again


_TABLES = ("served", "stored", "killed")  # one a test
_COUNT = 50


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """One machine for all tests: to start it takes as long as a test."""
    folder = tmp_path_factory.mktemp("outages")
    with ExitStack() as stack:
        endpoints = {
            table: stack.enter_context(MeteredEndpoint(key="sk-test", latency=0.5)) for table in _TABLES
        }
        for table in _TABLES:
            write_pages(folder / table, pages(_COUNT, of=table))
        toml = metered(**{table: endpoint.url for table, endpoint in endpoints.items()})
        (folder / "vecmill.toml").write_text(toml)
        yield Machine(stack.enter_context(Up(folder, {"OPENAI_API_KEY": "sk-test"})), endpoints)


def test_a_run_goes_on_while_the_server_is_killed_and_restarted(machine: Machine) -> None:
    up, run = machine.up, machine.sends("served")
    _kill(up.processes("prefect server start"))
    until(lambda: "the server ended with code" in (up.folder / "up.log").read_text(), 30, "its end is seen")
    until(lambda: up.processes("prefect server start"), 60, "it is started again")
    until(lambda: _answers(up), 150, "it answers again")
    up.wait(run, "COMPLETED")
    machine.assert_done("served")


def _answers(up: Up) -> bool:
    try:
        return bool(up.get("/health"))
    except Exception:
        return False


def test_a_run_goes_on_while_the_database_is_gone_for_half_a_minute(machine: Machine) -> None:
    up, run = machine.up, machine.sends("stored")
    with closing(sqlite3.connect(up.folder / "store" / "prefect" / "prefect.db", timeout=60)) as database:
        database.execute("begin exclusive")  # nobody else reads or writes it
        held = time.monotonic()
        until(lambda: time.monotonic() - held > 30, 60, "half a minute passes")
        database.rollback()
    up.wait(run, "COMPLETED", seconds=300)
    machine.assert_done("stored")


def test_a_killed_run_and_worker_do_not_look_alive_and_the_rerun_completes(machine: Machine) -> None:
    up, run = machine.up, machine.sends("killed")
    engines = up.processes("prefect.engine")
    assert engines
    _kill(up.processes("prefect worker start"))
    _kill(engines)
    found = up.wait(run, "CRASHED", seconds=120)
    assert "it was killed" in found["state"]["message"]
    until(lambda: up.processes("prefect worker start"), 60, "the worker is started again")
    rerun = up.wait(up.run("rerun/store", run={"run_id": run}), "COMPLETED")
    assert rerun["name"] == "rerun killed, by hand"
    machine.assert_done("killed", paid_again=IN_FLIGHT)
    [limit] = [
        one
        for one in up.post("/v2/concurrency_limits/filter")
        if one["name"] == f"deployment:{up.deployment('ingest/killed')['id']}"
    ]
    assert limit["active_slots"] == 0
