"""The backfill flow on a real Prefect server: parts as tasks, and a comparison to look at."""

import sys
from collections.abc import Mapping
from pathlib import Path
from subprocess import run as call
from typing import Any

import httpx
import pytest

from tests.backfills import live
from tests.support import job_for, run, vecmill, write_pages

_FLOW = """
import sys
from flows.backfill import backfill
from infra.backfill_form import AfterwardsConfig, BackfillConfig
from infra.config import StoreConfig

space = {"provider": "local", "model": "wordllama", "dimensions": 128}
form = BackfillConfig.model_validate({"table": "docs", "embedding": space, "part": 4})
report = backfill(form, StoreConfig(uri=sys.argv[1]), AfterwardsConfig(switch_if="overlap@10>=0.1", top_k=10))
assert report["published"], report
"""


def _ask(server: Mapping[str, str], path: str, body: dict[str, Any]) -> Any:
    answer = httpx.post(f"{server['PREFECT_API_URL']}{path}", json=body, timeout=60)
    answer.raise_for_status()
    return answer.json()


@pytest.mark.slow
def test_a_backfill_is_seen_part_by_part_compared_and_switched_to(
    prefect_server: Mapping[str, str], tmp_path: Path
) -> None:
    store = str(tmp_path / "store")
    pages = {f"{n}.md": f"# Page {n}\n\nThe words of page number {n}, 川{n}。" for n in range(10)}
    run(job_for(write_pages(tmp_path / "docs", pages), store))
    words, env = [sys.executable, "-c", _FLOW, store], dict(prefect_server)
    done = call(words, env=env, cwd=Path.cwd(), capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    assert live(store).kind == "switch"
    flows = {"flows": {"name": {"any_": ["backfill"]}}}
    [flow_run] = _ask(prefect_server, "/flow_runs/filter", flows)
    assert (flow_run["state_type"], "docs" in flow_run["name"]) == ("COMPLETED", True)
    ids = {"flow_runs": {"id": {"any_": [flow_run["id"]]}}}
    tasks = _ask(prefect_server, "/task_runs/filter", {**ids, "sort": "EXPECTED_START_TIME_ASC"})
    names = [task["name"].rpartition("-")[0] for task in tasks]
    assert names.count("publish") == 3
    assert names[-3:] == ["compared", "check table canaries", "switch to"]
    shown = {one["key"]: one["data"] for one in _ask(prefect_server, "/artifacts/filter", ids)}
    assert "| overlap of the first 10 |" in shown["comparison"]
    assert "data:image/svg+xml" in shown["comparison"]
    assert "generation" in shown["report"] or "is live" in shown["report"]


@pytest.mark.slow
def test_commands_with_a_server_named_run_as_flows(prefect_server: Mapping[str, str], tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    first = run(job_for(write_pages(tmp_path / "docs", {"a.md": "# A\n\nRivers.", "b.md": "# 山"}), store))
    words = ("backfill", "docs", "--embedding", "local/wordllama@128", "--switch", "--store", store, "--json")
    filled = vecmill(*words, cwd=tmp_path, env=prefect_server)
    assert filled.code == 0, filled.err
    assert filled.json["version"] == 2
    more = ("rerun", first.run_id, "--scope", "all", "--store", store, "--json")
    again = vecmill(*more, cwd=tmp_path, env=prefect_server)
    assert again.code == 0, again.err
    assert again.json["published"] is False
    runs = {"flow_runs": {"tags": {"all_": ["vecmill"]}}}
    found = _ask(prefect_server, "/flow_runs/filter", {**runs, "sort": "START_TIME_ASC"})
    names = [one["name"].split()[0] for one in found if one["state_type"] == "COMPLETED"]
    assert names[-2:] == ["backfill", "rerun"]
