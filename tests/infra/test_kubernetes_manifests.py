import copy
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from prefect.settings import Settings
from prefect.settings.legacy import _get_valid_setting_names

from infra.settings import read_config, read_environment
from tests.deployment import (
    CONFIGS,
    INFRA,
    KUBERNETES,
    RUNBOOK,
    Pod,
    check_command,
    locked_version,
    manifests,
    pods,
    ray_cluster,
    tool,
)

PODS = {pod.owner: pod for pod in pods()}
NAMES = sorted(PODS)
VERSIONS = ["1.30", kubernetes_validate.latest_version()]
YAMLLINT = """
extends: default
rules:
  comments: {min-spaces-from-content: 1}
  document-start: disable
  line-length: {max: 110}
"""


def _native() -> list[dict[str, Any]]:
    """What the cluster knows without KubeRay, and the Ray cluster's pods as pods."""
    mine = [one for one in manifests() if one["kind"] != "RayCluster"]
    named = {"apiVersion": "v1", "kind": "Pod"}
    ray = [
        {**named, "metadata": {"name": "ray", "labels": pod.labels}, "spec": pod.spec}
        for owner, pod in PODS.items()
        if owner.startswith("Ray/")
    ]
    return mine + ray


def test_yamllint_finds_nothing() -> None:
    words = [
        tool("yamllint"),
        "--strict",
        "--config-data",
        YAMLLINT,
        str(KUBERNETES),
        str(INFRA / "compose.yaml"),
    ]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_schemas_take_every_manifest_strictly(version: str) -> None:
    for one in _native():
        kubernetes_validate.validate(one, version, strict=True)


def test_the_strict_schemas_refuse_a_misspelt_field() -> None:
    wrong = copy.deepcopy(next(one for one in _native() if one["kind"] == "Deployment"))
    wrong["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


def test_kuberays_schema_takes_the_ray_cluster() -> None:
    schema = json.loads(Path(__file__).with_name("schemas").joinpath("raycluster.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(schema).validate(ray_cluster()["spec"])
    for template in (ray_cluster()["spec"]["headGroupSpec"], *ray_cluster()["spec"]["workerGroupSpecs"]):
        wrong = {**ray_cluster()["spec"], "headGroupSpec": {**template, "rayStartParams": {"num-cpus": 0}}}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.Draft202012Validator(schema).validate(wrong)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kustomize_renders_them_with_one_image_and_a_configuration_that_carries_its_hash() -> None:
    done = subprocess.run(["kubectl", "kustomize", str(KUBERNETES)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    images = set(re.findall(r"image: (\S+)", done.stdout))
    assert images == {f"registry.example.com/vecmill:{locked_version('vecmill')}", "postgres:17-alpine"}
    [config] = [one for one in yaml.safe_load_all(done.stdout) if one["kind"] == "ConfigMap"]
    assert re.fullmatch(r"vecmill-\w{10}", config["metadata"]["name"])
    assert done.stdout.count(config["metadata"]["name"]) == 2


@pytest.mark.parametrize("owner", NAMES)
def test_every_pod_meets_the_restricted_standard_and_writes_to_volumes_only(owner: str) -> None:
    spec, container = PODS[owner].spec, PODS[owner].container
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    if container["image"].startswith("vecmill"):
        assert spec["securityContext"]["runAsUser"] > 10_000


@pytest.mark.parametrize("owner", NAMES)
def test_every_pod_is_bounded_and_probed(owner: str) -> None:
    container = PODS[owner].container
    for kind in ("requests", "limits"):
        assert set(container["resources"][kind]) == {"cpu", "memory", "ephemeral-storage"}
    named = {port["name"] for port in container["ports"]}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        how = container[probe]
        if "exec" in how:
            check_command(how["exec"]["command"])
        else:
            assert (how.get("httpGet") or how["tcpSocket"])["port"] in named


@pytest.mark.parametrize("owner", NAMES)
def test_every_volume_is_mounted_and_every_mount_has_a_volume(owner: str) -> None:
    spec, container = PODS[owner].spec, PODS[owner].container
    volumes = {one["name"] for one in spec["volumes"]}
    claimed = {"data"} if owner == "StatefulSet/database" else set()
    assert volumes | claimed == {one["name"] for one in container["volumeMounts"]}
    assert "/tmp" in {one["mountPath"] for one in container["volumeMounts"]}


@pytest.mark.parametrize("owner", sorted(set(NAMES) - {"StatefulSet/database"}))
def test_every_command_and_variable_is_known(owner: str) -> None:
    container = PODS[owner].container
    if "command" in container:
        check_command(container["command"])
    known = _get_valid_setting_names(Settings)
    read = (INFRA / "settings.py").read_text("utf-8")
    for variable in (one["name"] for one in container.get("env", [])):
        ray = variable in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")
        assert ray or variable in known or f'"{variable}"' in read


def test_what_kuberay_starts_ray_with_is_understood() -> None:
    spec = ray_cluster()["spec"]
    for group, more in ((spec["headGroupSpec"], ["--head"]), (spec["workerGroupSpecs"][0], [])):
        given = [f"--{name}={value}" for name, value in group["rayStartParams"].items()]
        usage = [word for word in given if word == "--disable-usage-stats=true"]
        assert usage
        # KubeRay gives switches without their value.
        check_command(["ray", "start", *more, *(set(given) - set(usage)), "--disable-usage-stats", "--block"])


def test_versions_are_those_of_the_lock_file() -> None:
    assert ray_cluster()["spec"]["rayVersion"] == locked_version("ray")
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text("utf-8"))
    assert kustomization["images"][0]["newTag"] == locked_version("vecmill")
    ours = {pod.container["image"] for pod in PODS.values()} - {"postgres:17-alpine"}
    assert ours == {f"vecmill:{locked_version('vecmill')}"}


def test_services_and_rules_select_pods_that_are_there_on_ports_that_they_open() -> None:
    for one in manifests():
        if one["kind"] == "Service":
            [pod] = [pod for pod in PODS.values() if _selects(one["spec"]["selector"], pod)]
            [port] = one["spec"]["ports"]
            assert port["port"] in {it["containerPort"] for it in pod.container["ports"]}
        if one["kind"] == "NetworkPolicy" and one["spec"]["podSelector"]:
            assert [pod for pod in PODS.values() if _selects(one["spec"]["podSelector"]["matchLabels"], pod)]


def test_the_worker_asks_services_that_are_there() -> None:
    named = {one["name"]: one.get("value") for one in PODS["Deployment/worker"].container["env"]}
    assert named["PREFECT_API_URL"] == "http://server:4200/api"
    assert named["RAY_ADDRESS"] == f"{ray_cluster()['metadata']['name']}-head-svc:6379"
    assert named["VECMILL_CONFIG"] == "/etc/vecmill/vecmill.toml"


def test_secrets_are_named_only_and_the_runbook_makes_every_one() -> None:
    text = "\n".join(path.read_text("utf-8") for path in KUBERNETES.glob("*.yaml"))
    assert "kind: Secret\n" not in text
    asked = set(re.findall(r"secret(?:KeyRef|Ref|Name): (?:\{name: )?(\w+)", text))
    assert asked == {"vecmill", "ray", "keys"}
    made = set(re.findall(r"create secret generic (\w+)", RUNBOOK.read_text("utf-8")))
    assert asked <= made
    for name, key in set(re.findall(r"secretKeyRef: \{name: (\w+), key: (\w+)\}", text)):
        assert re.search(rf"secret generic {name} .*--from-literal={key}=", RUNBOOK.read_text("utf-8"))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.parent.name)
def test_the_examples_of_configuration_are_valid(config: Path) -> None:
    found = read_config(str(config), read_environment())
    assert found.store.uri.startswith("s3://")
    assert found.pipelines["docs"].schedule is not None


def _selects(labels: dict[str, str], pod: Pod) -> bool:
    return labels.items() <= pod.labels.items()
