"""Runs on a real Prefect server, shown stage by stage."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.objects import Objects
from pipeline.store.log import Log
from tests.dashboard import until
from tests.endpoint import MeteredEndpoint
from tests.support import OPENAI, beside, command, rows, vecmill, write_pages

_STAGES = ["list", "diff", "split", "plan", "embed", "assemble", "validate", "publish"]


def _ask(server: Mapping[str, str], path: str, body: dict[str, Any] | None = None) -> Any:
    answer = httpx.post(f"{server['PREFECT_API_URL']}{path}", json=body or {}, timeout=60)
    answer.raise_for_status()
    return answer.json()


@pytest.mark.slow
def test_a_command_with_a_server_named_runs_as_a_flow_with_a_task_a_stage(
    prefect_server: Mapping[str, str], tmp_path: Path
) -> None:
    write_pages(tmp_path / "docs", {"a.md": "# One\n\nText of one.", "ja.md": "# 二\n\n二の本文です。"})
    words = ("ingest", "docs", "--table", "shown", "--store", "store", "--json")
    ran = vecmill(*words, cwd=tmp_path, env=prefect_server)
    assert ran.code == 0, ran.err
    assert ran.json["published"] is True
    assert "leaked" not in ran.err
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


_SHARDED = """
from functools import partial
from flows.ingest import ingest
from infra.config import PipelineConfig, SourceConfig, StoreConfig
from pipeline.stages import assemble, cutting, embed, split
from pipeline.staging import ShardWriter

cutting._SHARD, embed._SHARD = 4, 5
split.ShardWriter, assemble.fragment_rows = partial(ShardWriter, most=6), lambda dimensions: 6
report = ingest(PipelineConfig(table="large", source=SourceConfig(uri="docs")), StoreConfig(uri="store"))
assert report["published"]
"""


@pytest.mark.slow
def test_the_shards_of_a_large_stage_are_tasks_of_their_own(
    prefect_server: Mapping[str, str], tmp_path: Path
) -> None:
    write_pages(tmp_path / "docs", {f"{n:02}.md": f"# Page {n}\n\nText of page {n}." for n in range(10)})
    env = {**os.environ, **prefect_server, "PYTHONPATH": str(Path.cwd())}
    words = [sys.executable, "-c", _SHARDED]
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    named = {"flow_runs": {"name": {"any_": ["ingest large, by command"]}}}
    tasks = _ask(prefect_server, "/task_runs/filter", {**named, "sort": "EXPECTED_START_TIME_ASC"})
    assert [task["name"].rpartition("-")[0] for task in tasks] == [
        *("list", "diff", "split 1 of 3", "split 2 of 3", "split 3 of 3", "plan", "embed 1 of 2"),
        *("embed 2 of 2", "assemble 1 of 2", "assemble 2 of 2", "validate 1 of 2", "validate 2 of 2"),
        "publish",
    ]
    assert {task["state_type"] for task in tasks} == {"COMPLETED"}
    assert len(rows(str(tmp_path / "store"), "large")) == 10


@pytest.mark.slow
def test_a_failure_in_a_flow_keeps_its_message_and_exit_code(
    prefect_server: Mapping[str, str], tmp_path: Path
) -> None:
    ran = vecmill("ingest", "nowhere", "--table", "missing", "--json", cwd=tmp_path, env=prefect_server)
    assert ran.code == 3
    assert "nowhere does not exist" in ran.json["error"]["message"]


_AUTOMATION = """
import sys, yaml
from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import get_client
from prefect.events import AutomationCore

Webhook(method="POST", url=sys.argv[1]).save("vecmill", overwrite=True)
block = Webhook.load("vecmill")._block_document_id
values = yaml.safe_load(open(sys.argv[2]))
values["actions"][0]["block_document_id"] = str(block)
with get_client(sync_client=True) as client:
    client.create_automation(AutomationCore.model_validate(values))
"""


class _Receiver(ThreadingHTTPServer):
    """A webhook that keeps what it is called with."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Called)
        self.calls: list[Any] = []


class _Called(BaseHTTPRequestHandler):
    server: _Receiver

    def do_POST(self) -> None:
        self.server.calls.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.mark.slow
def test_the_example_of_a_webhook_is_called_when_a_run_fails(
    prefect_server: Mapping[str, str], tmp_path: Path
) -> None:
    example = Path("infra/automations/webhook.yaml").absolute()
    with _Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{receiver.server_address[1]}/"
        words = [sys.executable, "-c", _AUTOMATION, url, str(example)]
        subprocess.run(words, env={**os.environ, **prefect_server}, check=True, capture_output=True)
        until(lambda: _automations(prefect_server), 30, "the automation is there")
        ran = vecmill("ingest", "nowhere", "--table", "broken", "--json", cwd=tmp_path, env=prefect_server)
        assert ran.code == 3
        try:
            until(lambda: receiver.calls, 60, "the webhook is called")
        finally:
            receiver.shutdown()
            thread.join()
    assert receiver.calls[0]["event"] == "vecmill.failed"
    assert receiver.calls[0]["table"] == "broken"


def _automations(server: Mapping[str, str]) -> list[Any]:
    return [one for one in _ask(server, "/automations/filter") if one["name"] == "vecmill: call a webhook"]


_DRIFTING = """
from flows.evaluate import evaluate
from infra.config import StoreConfig
from infra.evaluate_form import DriftConfig, EvaluateConfig

form = EvaluateConfig(table="drifting", drift=DriftConfig())
print(evaluate(form, StoreConfig(uri="store"), return_state=True).type.value)
"""


@pytest.mark.slow
def test_a_drift_fails_the_evaluation_shows_it_and_tells_automations(
    prefect_server: Mapping[str, str], tmp_path: Path
) -> None:
    words = ("ingest", "docs", "--table", "drifting", "--store", "store", "--json")
    for pages in (
        {f"{n}.md": f"The river floods meadow {n} after rain." for n in range(20)},
        {f"ja-{n}.md": f"第{n}夜の夜空に流星群が見えます。" for n in range(15)},
    ):
        write_pages(tmp_path / "docs", pages)
        assert vecmill(*words, cwd=tmp_path).code == 0
    env = {**os.environ, "PYTHONPATH": str(Path.cwd()), **prefect_server}
    ran = subprocess.run(
        [sys.executable, "-c", _DRIFTING], cwd=tmp_path, env=env, check=True, capture_output=True, text=True
    )
    assert ran.stdout.strip().endswith("FAILED")
    found = _ask(prefect_server, "/artifacts/filter", {"artifacts": {"key": {"any_": ["report"]}}})
    [shown] = [one["data"] for one in found if "How well drifting answers" in one["data"]]
    assert "**Alarm:** what is new in version 2 differs by" in shown

    def told() -> list[Any]:
        names = {"event": {"name": ["vecmill.drift", "vecmill.failed"]}}
        events = _ask(prefect_server, "/events/filter", {"filter": names})["events"]
        return [one for one in events if one["payload"]["table"] == "drifting"]

    until(lambda: len(told()) == 2, 60, "both events are there")
    payload = {one["event"]: one["payload"] for one in told()}
    assert payload["vecmill.drift"]["before"] == "version 1"
    assert payload["vecmill.failed"]["kind"] == "evaluate"
    assert payload["vecmill.drift"]["run_id"] == payload["vecmill.failed"]["run_id"]


_SKIPPING = """
import sys
from flows.ingest import ingest
from infra.config import PipelineConfig, SourceConfig, StoreConfig

form = PipelineConfig(table="busy", source=SourceConfig(uri="docs"), overlap="skip")
state = ingest(form, StoreConfig(uri="store"), return_state=True)
print(state.name, state.message)
"""


@pytest.mark.slow
def test_a_second_run_of_a_table_waits_for_the_first_or_is_skipped(
    prefect_server: Mapping[str, str], tmp_path: Path
) -> None:
    write_pages(tmp_path / "docs", {f"{n}.md": f"# Page {n}\n\nText of page {n}." for n in range(60)})
    with MeteredEndpoint(key="sk-test", latency=0.5) as endpoint:
        env = {**prefect_server, "OPENAI_API_KEY": "sk-test", "PYTHONPATH": str(Path.cwd())}
        words = ["ingest", "docs", "--table", "busy", "--store", "store", "--embedding", OPENAI.name]
        words += ["--base-url", endpoint.url, "--batch-inputs", "1", "--max-in-flight", "1", "--json"]
        with beside(command(*words), tmp_path, env, tmp_path / "first.log"):
            until(lambda: endpoint.ledger.arrived > 2, 90, "the first run sends")
            skipping = [sys.executable, "-c", _SKIPPING]
            done = subprocess.run(
                skipping, cwd=tmp_path, env={**os.environ, **env}, capture_output=True, text=True, check=False
            )
            assert "Skipped 'ingest busy, by command' of the same table goes on" in done.stdout, done.stderr
            second = vecmill(*words, cwd=tmp_path, env=env, timeout=240)
        assert second.code == 0, second.err
        assert second.json["documents"]["unchanged"] == 60
        assert endpoint.ledger.billed_more_than_once() == {}
    named = {"flow_runs": {"name": {"any_": ["ingest busy, by command"]}}, "sort": "START_TIME_ASC"}
    first, skipped, waited = _ask(prefect_server, "/flow_runs/filter", named)
    assert [run["state_name"] for run in (first, skipped, waited)] == ["Completed", "Skipped", "Completed"]
    ids = {"flow_runs": {"id": {"any_": [waited["id"]]}}, "sort": "EXPECTED_START_TIME_ASC"}
    began = _ask(prefect_server, "/task_runs/filter", ids)[0]["start_time"]
    assert began > first["end_time"]


_MANY = """
import gc, json, os, sys
from pathlib import Path
from prefect import tags
from flows.ingest import ingest
from infra.config import EmbeddingConfig, PipelineConfig, SourceConfig, StoreConfig

space = dict(provider="openai", model="text-embedding-3-small", dimensions=64, base_url=sys.argv[1])
form = PipelineConfig(table="still", source=SourceConfig(uri="docs"), embedding=EmbeddingConfig(**space))

def measured():
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {"mb": pages * os.sysconf("SC_PAGE_SIZE") / 1e6, "files": len(os.listdir("/proc/self/fd"))}

found = []
with tags("vecmill"):
    for run in range(101):
        report = ingest(form, StoreConfig(uri="store"))
        assert report["published"] is (run == 0), report
        if run in (10, 100):
            found.append(measured())
print(json.dumps(found))
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_hundred_runs_with_nothing_changed_send_nothing_publish_nothing_and_do_not_grow(
    prefect_server: Mapping[str, str], tmp_path: Path
) -> None:
    write_pages(tmp_path / "docs", {f"{n}.md": f"# Page {n}\n\nText of page {n}." for n in range(20)})
    with MeteredEndpoint(key="sk-test") as endpoint:
        env = {**os.environ, **prefect_server, "OPENAI_API_KEY": "sk-test", "PYTHONPATH": str(Path.cwd())}
        words = [sys.executable, "-c", _MANY, endpoint.url]
        done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        assert endpoint.ledger.texts_billed == 20
        requests = endpoint.ledger.arrived
    before, after = json.loads(done.stdout.splitlines()[-1])
    assert requests == 1
    assert after["files"] <= before["files"] + 2
    assert after["mb"] < before["mb"] * 1.15 + 10
    assert Log(Objects(str(tmp_path / "store")), "still").live().version == 1
