"""From the command line's words to its exit code, and what it prints where."""

import subprocess
import sys
from importlib.metadata import version

import pytest
import typer

from flows import cli
from flows.cli import app
from pipeline import errors
from tests.flows.inside import vecmill_here

Captured = pytest.CaptureFixture[str]

ERRORS = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.VecmillError)
]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the command line commands that fail in each way."""
    own = typer.Typer()

    @own.command()
    def fail(how: str, json: bool = False) -> None:
        if how == "ctrl-c":
            raise KeyboardInterrupt
        if how == "exit":
            raise typer.Exit(4)
        if how == "defect":
            raise ZeroDivisionError("by [0]")
        raise getattr(errors, how)("it \udcff [failed]")

    @own.command()
    def succeed() -> None:
        return

    monkeypatch.setattr(cli, "app", own)


@pytest.mark.usefixtures("failing")
@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_ends_with_its_code_and_its_message_on_stderr(
    kind: type[errors.VecmillError], capsys: Captured
) -> None:
    ran = vecmill_here(capsys, "fail", kind.__name__)
    assert (ran.code, ran.out) == (kind.exit_code, "")
    assert ran.err == "error: it \\udcff [failed]\n"


@pytest.mark.usefixtures("failing")
@pytest.mark.parametrize(
    ("how", "code", "kind", "said"),
    [
        ("InputError", 3, "InputError", "it \\udcff [failed]"),
        ("StoreRefused", 7, "StoreRefused", "it \\udcff [failed]"),
        ("ctrl-c", 130, "Interrupted", "interrupted; what was paid is kept"),
        (
            "defect",
            1,
            "Defect",
            "this is a defect of vecmill, please report it: ZeroDivisionError: by [0]",
        ),
    ],
)
def test_with_json_an_error_is_one_document_on_stdout_and_a_line_on_stderr(
    how: str, code: int, kind: str, said: str, capsys: Captured
) -> None:
    ran = vecmill_here(capsys, "fail", how, "--json")
    assert ran.code == code
    assert ran.json == {"error": {"kind": kind, "message": said, "exit_code": code}}
    assert ran.err.endswith(f"error: {said}\n")
    assert ("Traceback" in ran.err) is (how == "defect")


@pytest.mark.usefixtures("failing")
@pytest.mark.parametrize(
    ("words", "code"), [(["fail", "exit"], 4), (["succeed"], 0), (["fail", "ctrl-c"], 130)]
)
def test_a_command_that_exits_with_a_code_ends_with_it(words: list[str], code: int, capsys: Captured) -> None:
    assert vecmill_here(capsys, *words).code == code


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["inges"], "No such command 'inges'. Did you mean 'ingest'"),
        (["ingest"], "Missing argument 'source'."),
        (["ingest", "a", "b"], "Got unexpected extra argument(s) (b)"),
        (["ingest", "a", "--tabel", "t"], "No such option: --tabel (Possible options: "),
        (["ingest", "a", "--rpm", "many"], "Invalid value for '--rpm': Input should be a valid integer"),
        (["search", "q", "--top-k", "1.5"], "Invalid value for '--top-k': Input should be a valid integer"),
        (["rollback", "docs"], "Missing argument 'version'."),
    ],
)
def test_words_that_do_not_fit_are_a_usage_error(words: list[str], said: str, capsys: Captured) -> None:
    plain = vecmill_here(capsys, *words)
    assert (plain.code, plain.out) == (2, "")
    assert plain.err.startswith(f"error: {said}")
    as_json = vecmill_here(capsys, words[0], "--json", *words[1:])
    error = as_json.json["error"]
    assert (as_json.code, error["kind"], error["exit_code"]) == (2, "UsageError", 2)
    assert error["message"].startswith(said)


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_help_names_every_command(words: list[str], capsys: Captured) -> None:
    ran = vecmill_here(capsys, *words)
    assert (ran.code, ran.err) == (0, "")
    assert "Usage: vecmill" in ran.out
    missing = [
        c.name
        for c in app.registered_commands
        if f" {c.name or getattr(c.callback, '__name__', '')} " not in ran.out
    ]
    assert missing == []


def test_it_says_which_version_it_is(capsys: Captured) -> None:
    ran = vecmill_here(capsys, "--version")
    assert (ran.code, ran.out, ran.err) == (0, f"vecmill {version('vecmill')}\n", "")


def test_help_of_a_command_shows_its_options(capsys: Captured) -> None:
    ran = vecmill_here(capsys, "ingest", "--help")
    assert ran.code == 0
    assert "Usage: vecmill ingest" in ran.out
    assert "--keep-missing" in ran.out


def test_what_takes_long_to_import_is_not_imported_before_a_command_needs_it() -> None:
    heavy = "{'lance', 'duckdb', 'pandas', 'openai', 'prefect', 'ray', 'torch', 'onnxruntime'}"
    words = [sys.executable, "-c", f"import sys, flows.cli; print(sorted({heavy} & sys.modules.keys()))"]
    assert subprocess.run(words, check=True, capture_output=True, text=True).stdout == "[]\n"
