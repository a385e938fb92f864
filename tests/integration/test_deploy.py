"""vecmill deploy on a server that is there: registers once, follows the file, and leaves others alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import vecmill

pytestmark = pytest.mark.slow

_TOML = """
[store]
uri = "store"

[pipelines.first]
table = "first"
source = { uri = "docs" }
schedule = { cron = "0 3 * * *", timezone = "Asia/Tokyo" }
overlap = "skip"

[pipelines.second]
table = "second"
source = { uri = "docs" }
schedule = { interval = "1h30m" }

[retention]
schedule = { cron = "30 4 * * 0" }
"""
_OTHERS = ["rerun/store", "backfill/store", "evaluate/store", "maintain/store"]
_VARIABLES = ("image", "env")
_IMAGES = {
    "variables": {"type": "object", "properties": {name: {"title": name} for name in _VARIABLES}},
    "job_configuration": {name: f"{{{{ {name} }}}}" for name in _VARIABLES},
}


class _Server:
    def __init__(self, env: Mapping[str, str]) -> None:
        self._api = env["PREFECT_API_URL"]

    def pool(self, name: str, kind: str) -> None:
        body = {"name": name, "type": kind, "base_job_template": {} if kind == "process" else _IMAGES}
        answer = httpx.post(f"{self._api}/work_pools/", json=body, timeout=60)
        assert answer.status_code == 201, answer.text

    def deployment(self, full_name: str) -> Any:
        answer = httpx.get(f"{self._api}/deployments/name/{full_name}", timeout=60)
        return answer.raise_for_status().json()

    def names(self, pool: str) -> list[str]:
        body = {"work_pools": {"name": {"any_": [pool]}}}
        answer = httpx.post(f"{self._api}/deployments/filter", json=body, timeout=60)
        return sorted(one["name"] for one in answer.raise_for_status().json())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with vecmill.toml; its own name, so that no test has another's store."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "vecmill.toml").write_text(_TOML)
    return tmp_path


def test_what_the_file_names_is_registered_once_and_removed_when_it_names_it_no_more(
    prefect_server: Mapping[str, str], folder: Path
) -> None:
    server = _Server(prefect_server)
    server.pool("here", "process")

    def deploy() -> Any:
        ran = vecmill("deploy", "--pool", "here", "--json", cwd=folder, env=prefect_server)
        assert ran.code == 0, ran.err
        return ran.json

    first = deploy()
    assert first["created"][:2] == ["ingest/first", "ingest/second"]
    assert set(first["created"][2:]) <= set(_OTHERS)
    registered = server.deployment("ingest/first")
    assert registered["schedules"][0]["schedule"] == {
        "cron": "0 3 * * *",
        "timezone": "Asia/Tokyo",
        "day_or": True,
    }
    assert registered["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    assert registered["global_concurrency_limit"]["limit"] == 1
    assert registered["parameters"]["pipeline"]["source"]["uri"] == str(folder / "docs")
    assert registered["entrypoint"] == "flows.ingest.ingest"
    assert "OPENAI_API_KEY" not in str(registered["job_variables"])
    second = server.deployment("ingest/second")["schedules"][0]["schedule"]
    assert (second["interval"], second["timezone"]) == (5400.0, "UTC")

    again = deploy()
    assert again["unchanged"] == first["created"]
    assert [again[name] for name in ("created", "changed", "removed")] == [[], [], []]
    assert server.deployment("ingest/first")["updated"] == registered["updated"]

    text = _TOML.replace("0 3 * * *", "0 5 * * *")
    before, _, rest = text.partition("[pipelines.second]")
    (folder / "vecmill.toml").write_text(before + rest[rest.index("[retention]") :])
    third = deploy()
    assert (third["changed"], third["removed"]) == (["ingest/first"], ["ingest/second"])
    assert server.deployment("ingest/first")["schedules"][0]["schedule"]["cron"] == "0 5 * * *"
    assert "second" not in server.names("here")


@pytest.mark.parametrize("kind", ["docker", "kubernetes"])
def test_pools_that_start_containers_are_given_the_image_and_quiet_libraries(
    kind: str, prefect_server: Mapping[str, str], folder: Path
) -> None:
    server = _Server(prefect_server)
    server.pool(f"in-{kind}", kind)
    text = _TOML.replace("[pipelines.", f"[pipelines.{kind}-").replace(
        'uri = "store"', f'uri = "{kind}-store"'
    )
    (folder / "vecmill.toml").write_text(text)
    words = ("deploy", "--pool", f"in-{kind}", "--image", "vecmill:1")
    ran = vecmill(*words, cwd=folder, env=prefect_server)
    assert ran.code == 0, ran.err
    variables = server.deployment(f"ingest/{kind}-first")["job_variables"]
    assert variables["image"] == "vecmill:1"
    assert variables["env"]["DO_NOT_TRACK"] == "1"
    assert variables["env"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == "30"


def test_what_cannot_be_registered_is_said_with_what_to_do(
    prefect_server: Mapping[str, str], folder: Path
) -> None:
    without = vecmill("deploy", cwd=folder)
    assert (without.code, "PREFECT_API_URL" in without.err) == (2, True)
    missing = vecmill("deploy", "--pool", "nowhere", cwd=folder, env=prefect_server)
    assert missing.code == 3
    assert "prefect work-pool create nowhere" in missing.err
    server = _Server(prefect_server)
    server.pool("taken", "process")
    text = _TOML.replace("[pipelines.", "[pipelines.taken-").replace('uri = "store"', 'uri = "taken-store"')
    (folder / "vecmill.toml").write_text(text)
    assert vecmill("deploy", "--pool", "taken", cwd=folder, env=prefect_server).code == 0
    other = vecmill("deploy", "--pool", "taken", "--store", "other", cwd=folder, env=prefect_server)
    assert other.code == 3
    assert "ingest/taken-first" in other.err
    assert "not of this store" in other.err
