"""Runs on a real Prefect server, shown stage by stage."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from tests.support import rows, vecmill, write_pages

_STAGES = ["list", "diff", "split", "plan", "embed", "assemble", "validate", "publish"]


def _ask(server: Mapping[str, str], path: str, body: dict[str, Any] | None = None) -> Any:
    answer = httpx.post(f"{server['PREFECT_API_URL']}{path}", json=body or {}, timeout=60)
    answer.raise_for_status()
    return answer.json()


def test_a_command_with_a_server_named_runs_as_a_flow_with_a_task_a_stage(
    prefect_server: Mapping[str, str], tmp_path: Path
) -> None:
    write_pages(tmp_path / "docs", {"a.md": "# One\n\nText of one.", "ja.md": "# 二\n\n二の本文です。"})
    words = ("ingest", "docs", "--table", "shown", "--store", "store", "--json")
    ran = vecmill(*words, cwd=tmp_path, env=prefect_server)
    assert ran.code == 0, ran.err
    assert ran.json["published"] is True
    assert len(rows(str(tmp_path / "store"), "shown")) == 2

    [flow_run] = _ask(
        prefect_server, "/flow_runs/filter", {"flow_runs": {"name": {"any_": ["ingest shown, by command"]}}}
    )
    assert flow_run["state_type"] == "COMPLETED"
    ids = {"flow_runs": {"id": {"any_": [flow_run["id"]]}}}
    tasks = _ask(prefect_server, "/task_runs/filter", {**ids, "sort": "EXPECTED_START_TIME_ASC"})
    assert [task["name"].rpartition("-")[0] for task in tasks] == _STAGES
    artifacts = _ask(prefect_server, "/artifacts/filter", ids)
    shown = {artifact["key"]: artifact["data"] for artifact in artifacts}
    assert len(shown) == len(artifacts)  # what changes is changed in place
    assert shown.keys() == {"plan", "progress-embed", "figures-embed", "report"}
    assert ran.json["run_id"] in shown["report"]
    assert shown["progress-embed"] == 100.0
    assert "| texts | 2 of 2 |" in shown["figures-embed"]
    assert "| to embed | 2 texts," in shown["plan"]
    assert "Version 1 of shown is live" in shown["report"]


def test_a_failure_in_a_flow_keeps_its_message_and_exit_code(
    prefect_server: Mapping[str, str], tmp_path: Path
) -> None:
    ran = vecmill("ingest", "nowhere", "--table", "missing", "--json", cwd=tmp_path, env=prefect_server)
    assert ran.code == 3
    assert "nowhere does not exist" in ran.json["error"]["message"]
