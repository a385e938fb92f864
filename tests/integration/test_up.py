"""vecmill up: schedules really fire, restarts lose nothing, and no run that is dead looks alive."""

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pipeline.ledger import Ledger
from pipeline.objects import Objects
from pipeline.store.log import Log
from tests.dashboard import Up, until
from tests.endpoint import MeteredEndpoint
from tests.processes import children, still_there
from tests.support import rows, vecmill, write_pages

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

_SCHEDULED = """
[store]
uri = "store"

[pipelines.often]
table = "often"
source = {{ uri = "docs" }}
schedule = {{ interval = {seconds} }}
"""
_METERED = """
[store]
uri = "store"

[pipelines.pages]
table = "pages"
source = {{ uri = "pages" }}
embedding = {{ provider = "openai", model = "text-embedding-3-small", dimensions = 64, base_url = "{url}", \
batch_inputs = 1, max_in_flight = 2 }}
"""
_PAGES = {f"{n:03}.md": f"# Page {n}\n\nParagraph of page {n}. 第{n}頁の段落です。" for n in range(60)}


def _of(up: Up, words: str) -> list[int]:
    """The processes of a machine whose command lines hold some words."""
    return [pid for pid, line in children(up.pid).items() if words in line]


def _kill(pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def _runs(up: Up, *states: str) -> list[Any]:
    """The runs of a schedule that are in some state, in the order in which they were due."""
    wanted = {"state": {"type": {"any_": list(states)}}}
    found = up.post("/flow_runs/filter", {"flow_runs": wanted, "sort": "EXPECTED_START_TIME_ASC"})
    return [run for run in found if run["auto_scheduled"]]


def test_a_schedule_fires_and_again_after_a_restart_that_catches_up_once(tmp_path: Path) -> None:
    write_pages(tmp_path / "docs", {"a.md": "# One\n\nText of one."})
    (tmp_path / "vecmill.toml").write_text(_SCHEDULED.format(seconds=15))
    up = Up(tmp_path)
    with up:
        first = until(lambda: _runs(up, "COMPLETED"), 150, up.log("worker") or "the schedule fires")[0]
        assert first["name"] == "ingest often, by schedule"
        second = until(lambda: _runs(up, "COMPLETED")[1:], 150, "the schedule fires again")[0]
        assert "nothing changed" in up.shown(second["id"])["report"]
        assert up.stop() == 0
        assert "stopping: runs are told to" in (tmp_path / "up.log").read_text()
        stopped = time.time()
        until(lambda: time.time() - stopped > 50, 90, "three runs are missed")
        said = up.start()
        assert "unchanged  ingest/often" in said
        began = len(_runs(up, "COMPLETED"))
        until(lambda: len(_runs(up, "COMPLETED")) > began, 200, "the schedule fires after the restart")
        missed = _runs(up, "CANCELLED")
        assert missed
        assert {run["state"]["name"] for run in missed} <= {"CaughtUp", "Cancelled"}
        assert sum(run["state"]["name"] == "CaughtUp" for run in missed) >= 2
        known = children(up.pid)
        assert any("prefect server" in line for line in known.values())
    assert len(Ledger(Objects(str(tmp_path / "store"))).runs()) >= 3
    assert rows(str(tmp_path / "store"), "often")["doc_id"].to_pylist() == ["a.md"]
    assert still_there(known) == {}


def test_commands_on_its_store_are_on_the_dashboard_while_it_is_up_and_run_by_themselves_afterwards(
    tmp_path: Path,
) -> None:
    write_pages(tmp_path / "docs", {"a.md": "# One\n\nText of one."})
    (tmp_path / "vecmill.toml").write_text(_SCHEDULED.format(seconds=86_400))
    with Up(tmp_path) as up:
        ran = vecmill("ingest", "often", "--json", cwd=tmp_path)
        assert ran.code == 0, ran.err
        assert ran.json["published"] is True
        named = {"flow_runs": {"name": {"any_": ["ingest often, by command"]}}}
        [run] = up.post("/flow_runs/filter", named)
        assert run["state_type"] == "COMPLETED"
        assert ran.json["run_id"] in up.shown(run["id"])["report"]
        away = vecmill("ingest", "often", "--store", "another", "--json", cwd=tmp_path)
        assert away.code == 0, away.err
        assert len(up.post("/flow_runs/filter", named)) == 1
    ran = vecmill("ingest", "often", "--json", cwd=tmp_path)
    assert (ran.code, ran.json["published"]) == (0, False), ran.err


_HELD = ("prefect server start", "prefect worker start")


def _memory_and_files(up: Up) -> tuple[float, int]:
    """MB and open files of the server and the worker together."""
    pids = [pid for words in _HELD for pid in _of(up, words)]
    pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids]
    files = [len([*Path(f"/proc/{pid}/fd").iterdir()]) for pid in pids]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6, sum(files)


@pytest.mark.timeout(1800)
def test_runs_that_the_schedule_starts_with_nothing_changed_send_nothing_and_let_nothing_grow(
    tmp_path: Path,
) -> None:
    write_pages(tmp_path / "pages", {"a.md": "# One\n\nText of one."})
    with MeteredEndpoint(key="sk-test") as endpoint:
        toml = _METERED.format(url=endpoint.url) + "schedule = { interval = 4 }\n"
        (tmp_path / "vecmill.toml").write_text(toml)
        with Up(tmp_path, {"OPENAI_API_KEY": "sk-test"}) as up:
            until(lambda: len(_runs(up, "COMPLETED")) >= 3, 90, "the first runs are done")
            mb, files = _memory_and_files(up)
            until(lambda: len(_runs(up, "COMPLETED")) >= 10, 120, "seven more are done")
            more_mb, more_files = _memory_and_files(up)
            assert _runs(up, "FAILED", "CRASHED") == []
        assert endpoint.ledger.arrived == 1
    assert more_files <= files + 12  # connections come and go; a leak is several a run
    assert more_mb < mb * 1.15 + 10
    assert len(Log(Objects(str(tmp_path / "store")), "pages").entries()) == 1


@pytest.fixture
def endpoint() -> Iterator[MeteredEndpoint]:
    """A provider that takes its time."""
    with MeteredEndpoint(key="sk-test", latency=0.5) as found:
        yield found


@pytest.fixture
def sending(tmp_path: Path, endpoint: MeteredEndpoint) -> Iterator[tuple[Up, str]]:
    """A machine with a run that has begun to send."""
    write_pages(tmp_path / "pages", _PAGES)
    (tmp_path / "vecmill.toml").write_text(_METERED.format(url=endpoint.url))
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
    _kill(_of(up, "prefect server start"))
    until(lambda: "the server ended with code" in (up.folder / "up.log").read_text(), 30, "its end is seen")
    until(lambda: _of(up, "prefect server start"), 60, "it is started again")
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
    engines = _of(up, "prefect.engine")
    assert engines
    _kill(_of(up, "prefect worker start"))
    _kill(engines)
    found = up.wait(run, "CRASHED", seconds=120)
    assert "it was killed" in found["state"]["message"]
    until(lambda: _of(up, "prefect worker start"), 60, "the worker is started again")
    rerun = up.wait(up.run("rerun/store", run={"run_id": run}), "COMPLETED")
    assert rerun["name"] == "rerun pages, by hand"
    _is_done(up, endpoint)
    [limit] = [
        one
        for one in up.post("/v2/concurrency_limits/filter")
        if one["name"] == f"deployment:{up.deployment('ingest/pages')['id']}"
    ]
    assert limit["active_slots"] == 0
