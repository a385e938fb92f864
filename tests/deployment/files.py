"""Reads the image's, the compose file's and Kubernetes' descriptions."""

import re
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
DOCKERFILE = INFRA / "docker" / "Dockerfile"
WORKER = INFRA / "docker" / "vecmill-worker"
KUBERNETES = INFRA / "kubernetes"
RUNBOOK = INFRA / "RUNBOOK.md"
CONFIGS = (INFRA / "docker" / "vecmill.toml", KUBERNETES / "vecmill.toml")


@dataclass(frozen=True, slots=True)
class Pod:
    """What a workload starts."""

    owner: str  # of the workload: "Deployment/worker"
    labels: dict[str, str]
    spec: dict[str, Any]

    @property
    def container(self) -> dict[str, Any]:
        """The one container that it has."""
        [container] = self.spec["containers"]
        return cast(dict[str, Any], container)


def instructions(stage: str) -> list[tuple[str, str]]:
    """What the Dockerfile does in a stage, and in those that it stands on: words and arguments."""
    stages: dict[str, list[tuple[str, str]]] = {}
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text("utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    current: list[tuple[str, str]] = []
    for line in filter(str.strip, text.splitlines()):
        word, _, arguments = line.strip().partition(" ")
        if word == "FROM":
            base, _, name = arguments.partition(" AS ")
            current = [("FROM", base), *stages.get(base, [])] if base not in stages else [*stages[base]]
            stages[name] = current
        else:
            current.append((word, " ".join(arguments.split())))
    return stages[stage]


def image_environment() -> dict[str, str]:
    """The environment that the image sets."""
    pairs: dict[str, str] = {}
    for word, arguments in instructions("vecmill"):
        if word == "ENV":
            pairs |= dict(pair.split("=", 1) for pair in shlex.split(arguments))
    return pairs


def compose() -> dict[str, Any]:
    """The compose file, as YAML has it: merged, and with its variables as they are written."""
    return cast(dict[str, Any], yaml.safe_load((INFRA / "compose.yaml").read_text("utf-8")))


def manifests() -> list[dict[str, Any]]:
    """All that is to be made in the cluster."""
    listed = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text("utf-8"))["resources"]
    return [one for name in listed for one in yaml.safe_load_all((KUBERNETES / name).read_text("utf-8"))]


def ray_cluster() -> dict[str, Any]:
    """The Ray cluster, as KubeRay takes it."""
    [cluster] = [one for one in manifests() if one["kind"] == "RayCluster"]
    return cluster


def pods() -> list[Pod]:
    """The pods of every workload, those of the Ray cluster too."""
    spec = ray_cluster()["spec"]
    groups = {"Ray/head": spec["headGroupSpec"]}
    groups |= {f"Ray/{one['groupName']}": one for one in spec["workerGroupSpecs"]}
    for one in manifests():
        if one["kind"] in ("Deployment", "StatefulSet"):
            groups[f"{one['kind']}/{one['metadata']['name']}"] = one["spec"]
    templates = {owner: group["template"] for owner, group in groups.items()}
    return [Pod(owner, one["metadata"]["labels"], one["spec"]) for owner, one in templates.items()]


def locked_version(package: str) -> str:
    """The version of a package that uv.lock holds."""
    packages = tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))["package"]
    [version] = [one["version"] for one in packages if one["name"] == package]
    return cast(str, version)


def code_blocks(page: Path, language: str = "bash") -> list[str]:
    """The commands that a page shows: lines that go on are joined, comments and outputs left out."""
    blocks = re.findall(rf"^ *```{language}\n(.*?)^ *```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
