import re
import shlex
import subprocess
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.actions import DeploymentCreate
from prefect.settings import Settings
from prefect.settings.legacy import _get_valid_setting_names

from flows.deployments import Pool, deployments
from infra.embedding_form import EmbeddingConfig
from infra.settings import read_config, read_environment
from tests.deployment import CONFIGS, INFRA, ROOT, WORKER, check_command, compose, locked_version, tool

SERVICES: dict[str, dict[str, Any]] = compose()["services"]
OURS = {name: one for name, one in SERVICES.items() if one["image"].startswith("vecmill")}
TEXT = (INFRA / "compose.yaml").read_text("utf-8")


def test_the_compose_specification_takes_the_file() -> None:
    words = [tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", "infra/compose.yaml"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_locked_down_and_bounded(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"] != "root"
    assert int(service["user"].split(":")[0]) > 0
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert not {"privileged", "cap_add", "network_mode", "pid"} & set(service)
    assert re.fullmatch(r"\S+:(?!latest)\S*\d\S*", service["image"])


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"bucket"}))
def test_every_service_that_stays_says_whether_it_is_healthy(name: str) -> None:
    test = SERVICES[name]["healthcheck"]["test"]
    assert test[0] == "CMD"
    check_command(test[1:])


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"database", "bucket"}))
def test_every_command_is_understood_by_its_program(name: str) -> None:
    check_command(SERVICES[name]["command"])


def test_the_buckets_command_makes_the_bucket_that_the_configuration_names() -> None:
    *_, script = SERVICES["bucket"]["command"]
    bucket = re.search(r"-name (\S+)'", script)
    assert bucket is not None
    assert read_config(str(CONFIGS[0]), read_environment()).store.uri.startswith(f"s3://{bucket[1]}/")
    _, piped = script.split(" | ")
    check_command(shlex.split(piped))


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_one_that_somebody_reads(name: str) -> None:
    known = _get_valid_setting_names(Settings)
    read = (INFRA / "settings.py").read_text("utf-8") + WORKER.read_text("utf-8")
    for variable in OURS[name].get("environment", {}):
        if variable.startswith("PREFECT_"):
            assert variable in known
        elif variable.startswith(("VECMILL_", "RAY_ADDRESS")):
            assert variable in read
        else:
            others = {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
            assert variable in {EmbeddingConfig().api_key_env, *others}


def test_every_variable_of_the_file_is_in_the_example_and_the_other_way_round() -> None:
    named = set(re.findall(r"\$\{(\w+)", TEXT))
    example = (INFRA / "env.example").read_text("utf-8")
    assert named == set(re.findall(r"^(\w+)=", example, re.MULTILINE))
    secret = {name for name in named if re.search("PASSWORD|TOKEN|S3_", name)}
    assert secret == set(re.findall(r"\$\{(\w+):\?set it in infra/\.env\}", TEXT))


def test_the_file_with_the_secrets_cannot_be_committed() -> None:
    done = subprocess.run(["git", "check-ignore", "infra/.env"], cwd=ROOT, capture_output=True)
    assert done.returncode == 0


def test_only_the_dashboard_is_reached_from_outside_and_only_from_this_machine() -> None:
    assert {name: one["ports"] for name, one in SERVICES.items() if "ports" in one} == {
        "server": ["127.0.0.1:4200:4200"]
    }
    assert compose()["networks"]["database"] == {"internal": True}
    assert {name for name, one in SERVICES.items() if "database" in one.get("networks", [])} == {
        "database",
        "server",
    }


def test_addresses_name_services_and_the_ports_on_which_they_listen() -> None:
    worker = SERVICES["worker"]["environment"]
    assert worker["PREFECT_API_URL"] == "http://server:4200/api"
    assert SERVICES["server"]["command"][-2:] == ["--port", "4200"]
    assert worker["RAY_ADDRESS"] == "ray:6379"
    assert "--port=6379" in SERVICES["ray"]["command"]
    assert f"--address={worker['RAY_ADDRESS']}" in SERVICES["ray-worker"]["command"]
    store = read_config(str(CONFIGS[0]), read_environment()).store
    assert (
        "endpoint_url=http%3A%2F%2Fobjects%3A8333" in store.uri or store.endpoint_url == "http://objects:8333"
    )
    assert "-s3.port=8333" in SERVICES["objects"]["command"]


def test_the_images_are_of_this_version() -> None:
    assert {one["image"].rpartition(":")[2] for one in OURS.values()} == {locked_version("vecmill")}


def test_what_the_configuration_names_has_names_that_prefect_takes() -> None:
    for deployment in deployments(read_config(str(CONFIGS[0]), read_environment())):
        DeploymentCreate(flow_id=uuid4(), **deployment.payload(Pool("vecmill")))
        assert deployment.name in {"docs", "store"}
