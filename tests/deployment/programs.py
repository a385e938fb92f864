"""Asks the programs that deployments start whether they understand their words, and starts none of them."""

import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.deployment.files import WORKER


def tool(name: str) -> str:
    """The path of a program that the development dependencies bring."""
    path = Path(sys.executable).parent / name
    if not path.is_file():
        pytest.skip(f"{name} is not installed: uv sync")
    return str(path)


def check_command(words: Sequence[str]) -> None:
    """Raise where a program would not take these words, or is none that an image has."""
    _CHECKS[words[0]](list(words[1:]))


def _vecmill(words: list[str]) -> None:
    _clicked(_command_line(), "vecmill", words)


@cache
def _command_line() -> Any:
    from flows.cli import app

    return typer.main.get_command(app)


def _ray(words: list[str]) -> None:
    from ray.scripts.scripts import cli

    _clicked(cli, "ray", words)


def _clicked(command: Any, name: str, words: list[str]) -> None:
    """Of click, and of the click that typer carries."""
    context = command.make_context(name, words)
    while hasattr(command, "resolve_command") and (words := [*context._protected_args, *context.args]):
        name, command, words = command.resolve_command(context, words)
        context = command.make_context(name, words, parent=context)


def _prefect(words: list[str]) -> None:
    from prefect.cli._app import _app

    _app.parse_args(words, exit_on_error=False, print_error=False)


def _weed(words: list[str]) -> None:
    command, *flags = words
    unknown = {re.split("=| ", flag)[0] for flag in flags} - _weed_flags(command)
    assert not unknown, f"weed {command} has no {unknown}"


@cache
def _weed_flags(command: str) -> frozenset[str]:
    said = subprocess.run([tool("weed"), "help", command], capture_output=True, text=True)
    return frozenset(re.findall(r"^  (-[\w.]+)", said.stdout + said.stderr, re.MULTILINE))


def _python(words: list[str]) -> None:
    option, code = words
    assert option == "-c"
    compile(code, "<healthcheck>", "exec")


def _worker(words: list[str]) -> None:
    assert not words
    assert WORKER.stat().st_mode & 0o111


def _of_postgres(words: list[str]) -> None:
    assert words == ["--username=prefect", "--dbname=prefect"]


_CHECKS: dict[str, Callable[[list[str]], None]] = {
    "vecmill": _vecmill,
    "vecmill-worker": _worker,
    "ray": _ray,
    "prefect": _prefect,
    "weed": _weed,
    "python": _python,
    "pg_isready": _of_postgres,
}
