import re
import shlex
from inspect import getmembers, isclass

import pytest

from pipeline import errors
from tests.deployment import INFRA, ROOT, RUNBOOK, check_command, code_blocks, compose, pods

TEXT = RUNBOOK.read_text("utf-8")
LINES = code_blocks(RUNBOOK)
SERVICES = compose()["services"]
WORKLOADS = {pod.owner.lower() for pod in pods()}
PROGRAMS = {"docker", "kubectl", "vecmill", "prefect", "aws", "git", "cd", "install", "mkdir"}


def _words(line: str) -> list[str]:
    """The words of a command, without what a shell does around it."""
    return shlex.split(re.sub(r'"\$\([^)]*\)"|\$\(.*?\)', "x", line), comments=True)


def _inside(line: str) -> list[str] | None:
    """The command that starts one of our programs, wherever it is started."""
    words = _words(line)
    for place, word in enumerate(words):
        starts = place == 0 or words[place - 1] in ({"--", "worker", "ray"} | {"--unset=PREFECT_API_URL"})
        if word in ("vecmill", "prefect", "ray") and starts and words[:2] != ["docker", "volume"]:
            after = words[place:]
            if word == "vecmill" or (len(after) > 1 and after[1] in ("status", "work-pool", "flow-run")):
                return after
    return None


OURS = [line for line in LINES if _inside(line)]


def test_the_page_shows_commands_of_known_programs_only() -> None:
    assert {_words(line)[0] for line in LINES} <= PROGRAMS
    assert len(OURS) > 35


@pytest.mark.parametrize("line", OURS)
def test_every_command_of_ours_is_understood(line: str) -> None:
    inside = _inside(line)
    assert inside is not None
    check_command(inside)


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("docker compose")])
def test_every_compose_command_names_services_that_are_there(line: str) -> None:
    words = _words(line)
    command, *rest = words[2:]
    assert command in {"build", "down", "exec", "logs", "ps", "restart", "run", "stop", "up"}
    values = {"1h", "50"}
    named = [word for word in rest if not word.startswith("-") and word not in values and "=" not in word]
    if command in {"exec", "run"}:
        named = named[:1]
    assert set(named) <= set(SERVICES)


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("kubectl")])
def test_every_kubectl_command_names_workloads_that_are_there(line: str) -> None:
    for kind, name in re.findall(r"\b(deployment|statefulset)/(\w+)", line):
        assert f"{kind}/{name}" in WORKLOADS
    assert "--namespace vecmill" in line or "namespace vecmill" in line or "--kustomize" in line
    for path in re.findall(r"--kustomize (\S+)", line):
        assert (ROOT / path / "kustomization.yaml").is_file()


def test_every_exit_code_has_its_row() -> None:
    raised = {kind.exit_code for _, kind in getmembers(errors, isclass) if hasattr(kind, "exit_code")}
    rows = {int(code) for code in re.findall(r"^\| (\d+) \| ", TEXT, re.MULTILINE)}
    assert rows == raised | {130}


@pytest.mark.parametrize(
    "situation",
    [
        "throttles or fails: 429, 5xx, time-outs, garbage",
        "key is refused, or the money is gone",
        "Documents fail",
        "longer than the model takes",
        "plan is over the budget",
        "Killed: a machine, a container",
        "A run is stuck",
        "disk is full",
        "bad version",
        "node of Ray is lost",
        "database is gone",
        "quota changed",
        "backfill was interrupted",
        "conflicts with another",
    ],
)
def test_every_failure_has_its_place(situation: str) -> None:
    assert situation in TEXT


def test_links_and_files_are_there() -> None:
    for path in re.findall(r"\]\((\.\./[\w.]+)", TEXT):
        assert (INFRA / path).resolve().is_file()
    [anchor] = re.findall(r"README\.md#([\w-]+)", TEXT)
    headings = re.findall(r"^#+ (.+)$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    assert anchor in {heading.lower().replace(" ", "-") for heading in headings}
    for name in ("compose.yaml", "docker", "kubernetes", "docker/vecmill.toml", "kubernetes/vecmill.toml"):
        assert f"`{name}" in TEXT
        assert (INFRA / name).exists()
