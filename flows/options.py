"""The options that commands share, each group a dataclass that a command takes as one parameter."""

import inspect
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

from typer import Option

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Common:
    """What every command takes."""

    store: Annotated[str | None, Option(help="Where everything is kept: a folder or a URL.")] = None
    config: Annotated[str | None, Option(help="The configuration file; ./vecmill.toml if it exists.")] = None
    json: Annotated[bool, Option("--json", help="One JSON document on stdout, nothing else.")] = False
    quiet: Annotated[bool, Option("--quiet", help="No progress on stderr.")] = False


@dataclass(frozen=True, slots=True)
class Rows:
    """How rows of CSV, JSON lines or Parquet become documents."""

    text: Annotated[str | None, Option(help='Rows: a column, or a template "Title: {a}; {b}".')] = None
    id: Annotated[str | None, Option(help="Rows: the column that identifies a row.")] = None
    glob: Annotated[str | None, Option(help="Which files of a folder, for example '**/*.md'.")] = None


@dataclass(frozen=True, slots=True)
class Cut:
    """How documents are cut into chunks."""

    splitter: Annotated[
        str | None, Option(help="markdown, recursive, semantic, sentence, fixed, html or code.")
    ] = None
    max_tokens: Annotated[int | None, Option(help="Tokens a chunk, at most.")] = None
    overlap_tokens: Annotated[int | None, Option(help="Tokens that neighbours share, at most.")] = None
    max_characters: Annotated[int | None, Option(help="Characters a chunk, in place of tokens.")] = None
    overlap_characters: Annotated[int | None, Option(help="Characters that neighbours share.")] = None
    separator: Annotated[
        list[str] | None,
        Option(metavar="<str>", help=r"recursive: where to cut, such as '\n\n'; again for each finer one."),
    ] = None
    regex: Annotated[bool | None, Option("--regex", help="recursive: separators are expressions.")] = None
    keep_separator: Annotated[
        str | None, Option(help="recursive: start or end of the piece that keeps it, or drop.")
    ] = None
    langchain: Annotated[
        bool | None, Option("--langchain", help="recursive: LangChain's chunks, except for its bugs.")
    ] = None
    prefix_headings: Annotated[
        bool | None,
        Option("--prefix-headings/--no-prefix-headings", help="markdown, html, code: embed headings, too."),
    ] = None
    repeat_table_header: Annotated[
        bool | None,
        Option(
            "--repeat-table-header/--no-repeat-table-header",
            help="markdown: embed a table's header with each of its pieces.",
        ),
    ] = None
    join_sections: Annotated[
        bool | None, Option("--join-sections", help="markdown: pack small neighbouring sections together.")
    ] = None
    breakpoints: Annotated[
        str | None,
        Option(help="semantic: optimal, percentile, standard_deviation, interquartile or gradient."),
    ] = None
    threshold: Annotated[float | None, Option(help="semantic: how much of a break is one.")] = None
    buffer: Annotated[int | None, Option(help="semantic: sentences on each side that tell a break.")] = None
    min_tokens: Annotated[int | None, Option(help="semantic: tokens a chunk, at least.")] = None
    language: Annotated[str | None, Option(help="code: the language, if the name does not tell.")] = None


@dataclass(frozen=True, slots=True)
class Sending:
    """How texts are sent, and what that may cost."""

    embedding: Annotated[str | None, Option(help="The space: provider/model@dimensions.")] = None
    base_url: Annotated[str | None, Option(help="The endpoint, if it is not OpenAI's own.")] = None
    api_key_env: Annotated[str | None, Option(help="The variable that holds the key.")] = None
    rpm: Annotated[int | None, Option(help="Requests a minute.")] = None
    tpm: Annotated[int | None, Option(help="Tokens a minute.")] = None
    max_in_flight: Annotated[int | None, Option(help="Requests at once.")] = None
    batch_inputs: Annotated[int | None, Option(help="Texts a request.")] = None
    lane: Annotated[
        str | None, Option(help="ordinary, batch (half the price, within a day), or auto by --deadline.")
    ] = None
    deadline: Annotated[
        str | None, Option(help="How long embedding may take: hours, or such as 36h or 2d.")
    ] = None
    enqueued_tokens: Annotated[int | None, Option(help="Tokens in batches at once.")] = None
    pooling: Annotated[
        str | None, Option(help="onnx: mean, cls, last or none, if the model's folder does not say.")
    ] = None
    matryoshka: Annotated[
        bool | None, Option("--matryoshka", help="Cut the model's vectors to fewer dimensions.")
    ] = None
    workers: Annotated[int | None, Option(help="Ray workers.")] = None
    priority: Annotated[
        str | None, Option(help="schedule, rerun or backfill: who uses the quota first where runs share it.")
    ] = None
    engine: Annotated[str | None, Option(help="auto, inline or ray.")] = None
    budget_usd: Annotated[float | None, Option(help="US dollars the run may spend.")] = None
    budget_tokens: Annotated[int | None, Option(help="Tokens the run may spend.")] = None
    price: Annotated[float | None, Option(help="USD a million tokens, in place of the price list's.")] = None
    time_limit: Annotated[
        str | None, Option(help="Send nothing more after it: seconds, or such as 1h30m.")
    ] = None
    budget_failures: Annotated[float | None, Option(help="Share of documents that may fail.")] = None


@dataclass(frozen=True, slots=True)
class Run(Sending):
    """What ingest and plan share."""

    table: Annotated[str | None, Option(help="The table; needed with a source, not with a pipeline.")] = None
    delete_missing: Annotated[
        bool | None,
        Option(
            "--delete-missing/--keep-missing", help="What to do with documents that the source no longer has."
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class Side:
    """How splitters are put side by side."""

    compare: Annotated[
        str | None,
        Option(help="Splitters, such as recursive,markdown,semantic, on a file, a folder or rows."),
    ] = None
    queries: Annotated[Path | None, Option(help="Score them with queries: a file of query_id and text.")] = (
        None
    )
    qrels: Annotated[
        Path | None, Option(help="What answers the queries: a file of query_id, doc_id and relevance.")
    ] = None


@dataclass(frozen=True, slots=True)
class Access:
    """How search reaches the provider of a table's space."""

    embedding: Annotated[str | None, Option(help="Refuse, unless the table is of this space.")] = None
    base_url: Annotated[str | None, Option(help="The endpoint, if it is not OpenAI's own.")] = None
    api_key_env: Annotated[str | None, Option(help="The variable that holds the key.")] = None


def spread(command: Callable[..., R]) -> Callable[..., R]:
    """Let Typer see the fields of a command's dataclass parameters as options of the command."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: kind for name, kind in hints.items() if is_dataclass(kind)}
    plain = [
        parameter.replace(annotation=hints[name])
        for name, parameter in inspect.signature(command).parameters.items()
        if name not in groups
    ]
    options = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=_under(group, kinds[field.name]),
        )
        for group in groups.values()
        for kinds in [get_type_hints(group, include_extras=True)]
        for field in fields(group)
    ]

    @wraps(command)
    def called(**values: Any) -> R:
        gathered = {
            name: group(**{field.name: values.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        return command(**values, **gathered)

    called.__annotations__ = {p.name: p.annotation for p in [*plain, *options]}
    del called.__wrapped__  # or Typer would see the command's own parameters
    vars(called)["__signature__"] = inspect.Signature([*plain, *options])
    return called


def _under(group: type, option: Any) -> Any:
    """An option that --help shows under what its group's docstring says."""
    kind, info = get_args(option)
    info = copy(info)
    info.rich_help_panel = (group.__doc__ or "").rstrip(".")
    return Annotated[kind, info]
