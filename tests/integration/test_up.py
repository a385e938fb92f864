"""vecmill up: schedules really fire, restarts lose nothing, commands nearby find it."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.ledger import Ledger
from pipeline.objects import Objects
from pipeline.store.log import Log
from tests.dashboard import Up, metered, until
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
    pids = [pid for words in _HELD for pid in up.processes(words)]
    pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids]
    files = [len([*Path(f"/proc/{pid}/fd").iterdir()]) for pid in pids]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6, sum(files)


@pytest.mark.timeout(1800)
def test_runs_that_the_schedule_starts_with_nothing_changed_send_nothing_and_let_nothing_grow(
    tmp_path: Path,
) -> None:
    write_pages(tmp_path / "pages", {"a.md": "# One\n\nText of one."})
    with MeteredEndpoint(key="sk-test") as endpoint:
        toml = metered(pages=endpoint.url) + "schedule = { interval = 4 }\n"
        (tmp_path / "vecmill.toml").write_text(toml)
        with Up(tmp_path, {"OPENAI_API_KEY": "sk-test"}) as up:
            until(lambda: len(_runs(up, "COMPLETED")) >= 2, 90, "the first runs are done")
            mb, files = _memory_and_files(up)
            until(lambda: len(_runs(up, "COMPLETED")) >= 6, 120, "four more are done")
            more_mb, more_files = _memory_and_files(up)
            assert _runs(up, "FAILED", "CRASHED") == []
        assert endpoint.ledger.arrived == 1
    assert more_files <= files + 12  # connections come and go; a leak is several a run
    assert more_mb < mb * 1.15 + 10
    assert len(Log(Objects(str(tmp_path / "store")), "pages").entries()) == 1
