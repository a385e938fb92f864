"""vecmill up while things fail: the server, its database, the worker, a run."""

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.dashboard import METERED, Up, pages, until
from tests.endpoint import MeteredEndpoint
from tests.support import rows, write_pages

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def _kill(pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def endpoint() -> Iterator[MeteredEndpoint]:
    """A provider that takes its time."""
    with MeteredEndpoint(key="sk-test", latency=0.5) as found:
        yield found


@pytest.fixture
def sending(tmp_path: Path, endpoint: MeteredEndpoint) -> Iterator[tuple[Up, str]]:
    """A machine with a run that has begun to send."""
    write_pages(tmp_path / "pages", pages(60))
    (tmp_path / "vecmill.toml").write_text(METERED.format(url=endpoint.url))
    with Up(tmp_path, {"OPENAI_API_KEY": "sk-test"}) as up:
        run = up.run("ingest/pages")
        until(lambda: endpoint.ledger.texts_billed >= 6 or up.state(run) == "FAILED", 150, "the run sends")
        assert up.state(run) == "RUNNING", up.get(f"/flow_runs/{run}")["state"]
        yield up, run


def _is_done(up: Up, endpoint: MeteredEndpoint) -> None:
    assert len(rows(str(up.folder / "store"), "pages")) == 60
    again = endpoint.ledger.billed_more_than_once()
    assert len(again) <= 2, "more was paid again than was in flight"


def test_a_run_goes_on_while_the_server_is_killed_and_restarted(
    sending: tuple[Up, str], endpoint: MeteredEndpoint
) -> None:
    up, run = sending
    _kill(up.processes("prefect server start"))
    until(lambda: "the server ended with code" in (up.folder / "up.log").read_text(), 30, "its end is seen")
    until(lambda: up.processes("prefect server start"), 60, "it is started again")
    until(lambda: _answers(up), 150, "it answers again")
    up.wait(run, "COMPLETED")
    _is_done(up, endpoint)
    assert endpoint.ledger.billed_more_than_once() == {}


def _answers(up: Up) -> bool:
    try:
        return bool(up.get("/health"))
    except Exception:
        return False


def test_a_run_goes_on_while_the_database_is_gone_for_half_a_minute(
    sending: tuple[Up, str], endpoint: MeteredEndpoint
) -> None:
    up, run = sending
    with closing(sqlite3.connect(up.folder / "store" / "prefect" / "prefect.db", timeout=60)) as database:
        database.execute("begin exclusive")  # nobody else reads or writes it
        held = time.monotonic()
        until(lambda: time.monotonic() - held > 30, 60, "half a minute passes")
        database.rollback()
    up.wait(run, "COMPLETED", seconds=300)
    _is_done(up, endpoint)
    assert endpoint.ledger.billed_more_than_once() == {}


def test_a_killed_run_and_worker_do_not_look_alive_and_the_rerun_completes(
    sending: tuple[Up, str], endpoint: MeteredEndpoint
) -> None:
    up, run = sending
    engines = up.processes("prefect.engine")
    assert engines
    _kill(up.processes("prefect worker start"))
    _kill(engines)
    found = up.wait(run, "CRASHED", seconds=120)
    assert "it was killed" in found["state"]["message"]
    until(lambda: up.processes("prefect worker start"), 60, "the worker is started again")
    rerun = up.wait(up.run("rerun/store", run={"run_id": run}), "COMPLETED")
    assert rerun["name"] == "rerun pages, by hand"
    _is_done(up, endpoint)
    [limit] = [
        one
        for one in up.post("/v2/concurrency_limits/filter")
        if one["name"] == f"deployment:{up.deployment('ingest/pages')['id']}"
    ]
    assert limit["active_slots"] == 0
