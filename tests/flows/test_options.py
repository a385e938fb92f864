"""The options that commands share."""

from dataclasses import dataclass
from typing import Annotated, Any

import pytest
import typer
from typer.main import get_command

from flows.cli import app
from flows.options import spread

COMMON = {"--store", "--config", "--json", "--quiet"}
OF_A_RUN = {
    "--table", "--text", "--id", "--glob", "--embedding",
    "--base-url", "--api-key-env", "--rpm", "--tpm", "--max-in-flight", "--priority", "--workers", "--engine",
    "--budget-usd", "--budget-tokens", "--budget-failures", "--price", "--time-limit",
    "--delete-missing", "--keep-missing", "--lane", "--deadline", "--enqueued-tokens",
    "--pooling", "--matryoshka",
}  # fmt: skip
OF_SENDING = OF_A_RUN - {"--table", "--text", "--id", "--glob", "--delete-missing", "--keep-missing"} | {
    "--batch-inputs"
}
OF_A_CUT = {
    "--splitter", "--max-tokens", "--overlap-tokens", "--max-characters", "--overlap-characters",
    "--separator", "--regex", "--keep-separator", "--langchain", "--prefix-headings", "--no-prefix-headings",
    "--repeat-table-header", "--no-repeat-table-header", "--join-sections", "--breakpoints", "--threshold",
    "--buffer", "--min-tokens", "--language",
}  # fmt: skip
OF_A_SEARCH = {
    "--table", "--mode", "--top-k", "--where", "--at", "--embedding", "--base-url", "--api-key-env",
    "--metric", "--exact", "--recall", "--fusion", "--alpha", "--steps", "--diversity", "--neighbours",
    "--queries",
}  # fmt: skip
OF_SOME_CHUNKS = {"--where", "--at"}
OF_ACCESS = {"--embedding", "--base-url", "--api-key-env"}
COMMANDS = {
    "ingest": OF_A_RUN | OF_A_CUT | {"--batch-inputs"},
    "plan": OF_A_RUN | OF_A_CUT | {"--batch-inputs"},
    "search": OF_A_SEARCH,
    "split": OF_A_CUT
    | {"--text", "--id", "--glob", "--embedding", "--full", "--compare", "--queries", "--qrels"},
    "sql": set[str](),
    "tables": set[str](),
    "versions": set[str](),
    "runs": {"--by"},
    "diff": {"--text"},
    "name": {"--move", "--delete"},
    "evaluate": {
        *("--queries", "--qrels", "--pairs", "--threshold", "--against", "--modes", "--dimensions"),
        *("--top-k", "--at-least"),
    },
    "index": {"--kind", "--recall", "--top-k", "--funnel", "--queries", "--embedding", "--base-url"}
    | {"--api-key-env"},
    "export": {"--at", "--format", "--force"},
    "import": {
        "--table",
        "--embedding",
        "--id",
        "--text",
        "--vector",
        "--from-table",
        "--from-store",
        "--at",
    },
    "rollback": set[str](),
    "backfill": OF_SENDING
    | OF_A_CUT
    | {
        *("--where", "--part", "--plan", "--switch", "--drop"),
        *("--compare", "--queries", "--qrels", "--sample", "--top-k", "--page", "--switch-if"),
    },
    "rerun": OF_SENDING | OF_A_CUT | {"--scope", "--table"},
    "dead-letters": {"--run", "--table", "--stage", "--reason"},
    "maintain": {"--keep-versions", "--keep-days", "--cache-size", "--dry-run"},
    "cache": set[str](),
    "analyze clusters": {"--k", "--png"} | OF_SOME_CHUNKS,
    "analyze duplicates": {"--threshold", "--recall", "--most", "--png"} | OF_SOME_CHUNKS,
    "analyze outliers": {"--reference", "--reference-where", "--k", "--quantile", "--most", "--png"}
    | OF_SOME_CHUNKS,
    "analyze drift": {"--p", "--effect", "--k", "--png"},
    "analyze coverage": {"--by", "--png"} | OF_SOME_CHUNKS,
    "analyze map": {"--html", "--png", "--method", "--most", "--k"} | OF_SOME_CHUNKS,
    "analyze classify": {"--category", "--temperature", "--documents", "--labelled", "--steps", "--png"}
    | OF_SOME_CHUNKS
    | OF_ACCESS,
    "analyze recommend": {"--like", "--item", "--seen", "--most"} | OF_SOME_CHUNKS | OF_ACCESS,
    "tune": {"--rounds", "--hold", "--anyway", "--into", "--model", "--loss", "--batch", "--rate"}
    | OF_ACCESS,
    "up": {"--port", "--host", "--home"},
    "deploy": {"--pool", "--image"},
    "demo": set[str](),
    "doctor": set[str](),
}


def _options(command: str) -> dict[str, str | None]:
    """A command's options, each with its help."""
    found: Any = get_command(app)
    for word in command.split():
        found = found.commands[word]  # of Typer's own classes, which are private
    return {
        name: getattr(option, "help", None)
        for option in found.params
        if option.param_type_name == "option"
        for name in (*option.opts, *option.secondary_opts)
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_has_the_options_of_the_design_and_no_others(command: str) -> None:
    assert set(_options(command)) == COMMANDS[command] | COMMON


def test_no_command_is_left_out_of_these_tests() -> None:
    top: Any = get_command(app)
    assert set(top.commands) == {command.split()[0] for command in COMMANDS}
    group = {command.partition(" ")[2] for command in COMMANDS if command.startswith("analyze ")}
    assert set(top.commands["analyze"].commands) == group


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_says_what_it_is_for(command: str) -> None:
    assert [name for name, said in _options(command).items() if not said] == []


@dataclass(frozen=True)
class _Colour:
    """How it looks."""

    red: Annotated[int, typer.Option()] = 0
    deep: Annotated[bool | None, typer.Option("--deep/--pale")] = None


@dataclass(frozen=True)
class _Size:
    """How large it is."""

    wide: Annotated[str | None, typer.Option()] = None


def _called(words: list[str]) -> tuple[str, _Colour, _Size, int]:
    seen: list[tuple[str, _Colour, _Size, int]] = []
    small = typer.Typer()

    @small.command()
    @spread
    def paint(
        what: Annotated[str, typer.Argument()],
        colour: _Colour,
        size: _Size,
        coats: Annotated[int, typer.Option()] = 1,
    ) -> None:
        seen.append((what, colour, size, coats))

    small(words, standalone_mode=False)
    return seen[0]


def test_the_fields_of_a_group_are_options_and_reach_the_command_as_the_group() -> None:
    words = ["塀", "--red", "3", "--pale", "--wide", "very", "--coats", "2"]
    assert _called(words) == ("塀", _Colour(3, False), _Size("very"), 2)


def test_what_is_not_given_has_the_default_of_its_field() -> None:
    assert _called(["fence"]) == ("fence", _Colour(0, None), _Size(None), 1)


def test_help_shows_a_groups_options_under_what_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        app(["plan", "--help"], prog_name="vecmill")
    shown = capsys.readouterr().out
    panel = shown[shown.index("How documents are cut into chunks") :]
    assert "--max-characters" in panel.partition("╰")[0]
    assert "--table" not in panel.partition("╰")[0]
