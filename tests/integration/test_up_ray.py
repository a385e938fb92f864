"""A run on Ray that a person cancels on the dashboard: it stops, keeps what is paid, and leaves nothing."""

import uuid
from pathlib import Path

import pytest

from pipeline.ledger import Ledger
from pipeline.objects import Objects
from pipeline.store.log import Log
from tests.dashboard import IN_FLIGHT, Up, metered, pages, until
from tests.endpoint import MeteredEndpoint
from tests.processes import marked
from tests.support import rows, write_pages

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

_PAGES = pages(80)

_KEPT = ("flows.cli up", "prefect server start", "prefect worker start")  # vecmill up and what it holds


def _left(mark: str) -> dict[int, str]:
    """The processes that a run has left behind."""
    return {pid: line for pid, line in marked(mark).items() if not any(kept in line for kept in _KEPT)}


def test_a_run_on_ray_that_is_cancelled_stops_sending_and_leaves_no_process_and_its_rerun_pays_nothing_twice(
    tmp_path: Path,
) -> None:
    write_pages(tmp_path / "pages", _PAGES)
    mark = f"VECMILL_TEST_MARK={uuid.uuid4().hex}"
    name, _, value = mark.partition("=")
    store = str(tmp_path / "store")
    with MeteredEndpoint(key="sk-test", latency=0.8) as endpoint:
        toml = metered(pages=endpoint.url) + 'engine = "ray"\nworkers = 2\n'
        (tmp_path / "vecmill.toml").write_text(toml)
        with Up(tmp_path, {"OPENAI_API_KEY": "sk-test", name: value}) as up:
            run = up.run("ingest/pages")
            until(
                lambda: endpoint.ledger.texts_billed >= 4 or up.state(run) == "FAILED", 150, "the run sends"
            )
            assert any("raylet" in line for line in marked(mark).values())
            arrived = endpoint.ledger.arrived
            up.post(f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING", "name": "Cancelling"}})
            up.wait(run, "CANCELLED", seconds=60)
            assert endpoint.ledger.arrived <= arrived + 10 * IN_FLIGHT
            until(lambda: not _left(mark), 20, "no process is left")
            paid = endpoint.ledger.texts_billed
            assert 4 <= paid < len(_PAGES)
            [record] = Ledger(Objects(store)).runs()
            assert (record["state"], record["error"]) == ("cancelled", "interrupted")
            assert record["spent"]["texts"] == paid
            assert Log(Objects(store), "pages").last() is None

            up.wait(up.run("rerun/store", run={"run_id": run}), "COMPLETED", seconds=300)
            until(lambda: not _left(mark), 20, "the rerun leaves no process either")
        assert endpoint.ledger.billed_more_than_once() == {}
        assert endpoint.ledger.texts_billed == len(_PAGES)
    assert len(rows(store, "pages")) == len(_PAGES)
