"""From a command's words to the form of a pipeline."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from flows.options import Common, Cut, Rows, Run
from infra.config import Config, PipelineConfig, SourceConfig, StoreConfig
from infra.settings import explain, read_config, read_environment
from infra.splitter_form import KINDS_OF, SplitterConfig
from pipeline.errors import UsageError
from pipeline.place import is_remote
from pipeline.space import Space

_ROW_FILES = (".csv", ".jsonl", ".ndjson", ".parquet")

_PLACES = {
    "splitter": {
        "kind": "splitter",
        "separators": "separator",
        "separators_are_regex": "regex",
        **{field.name: field.name for field in fields(Cut) if field.name in SplitterConfig.model_fields},
    },
    "embedding": {
        name: name
        for name in (
            *("base_url", "api_key_env", "rpm", "tpm", "max_in_flight", "batch_inputs", "price"),
            *("lane", "deadline", "enqueued_tokens", "pooling", "matryoshka"),
        )
    },
    "budget": {"usd": "budget_usd", "tokens": "budget_tokens", "failures": "budget_failures"},
    "source": {"text": "text", "id": "id", "glob": "glob"},
}
_TOP = ("table", "engine", "workers", "delete_missing", "time_limit", "priority")

# In a shell's plain quotes a line's end cannot be written; what is no escape stays as it is.
_ESCAPE = re.compile(r"\\(?:([nrtfv0\\])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4}))")
_SHORT = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v", "0": "\0", "\\": "\\"}


def option_of(field: str) -> str:
    """What a field of an option group is called on the command line."""
    return f"--{field.replace('_', '-')}"


# What a person calls the places of a form on the command line.
_NAMES = {
    "source.uri": "the source",
    "embedding.provider": "--embedding",
    **{
        f"{form}.{field}": option_of(option)
        for form, places in _PLACES.items()
        for field, option in places.items()
    },
    **{option: option_of(option) for option in _TOP},
}


def load(common: Common) -> Config:
    """The configuration with the store that the command names, if it names one."""
    environment = read_environment()
    config = read_config(common.config, environment)
    named = common.store or environment.store
    if not named:
        return config
    # Another bucket is taken to be of the same server.
    options = config.store.model_dump(exclude={"uri"}) if is_remote(named) else {}
    try:
        return config.model_copy(update={"store": StoreConfig(uri=named, **options)})
    except ValidationError as error:
        raise UsageError(explain(error, {"uri": "--store"})) from error


def requested(name: str, run: Run, cut: Cut, rows: Rows, config: Config) -> PipelineConfig:
    """The pipeline called `name`, or one made for the source `name`; options have the last word."""
    declared = config.pipelines.get(name)
    values = declared.model_dump(exclude_unset=True) if declared else _given_in_place(name, run, rows)
    given = with_options(values, {**asdict(run), **asdict(cut), **asdict(rows)})
    try:
        return PipelineConfig.model_validate(given)
    except ValidationError as error:
        raise UsageError(explain(error, _NAMES)) from error


def with_options(values: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """A form's values, and over them the options that are given."""
    changed = dict(values)
    for form, places in _PLACES.items():
        given = {field: options[one] for field, one in places.items() if options.get(one) is not None}
        if given:
            before = changed.get(form) or {}
            changed[form] = _recut(before, given) if form == "splitter" else {**before, **given}
    changed |= {option: options[option] for option in _TOP if options.get(option) is not None}
    if options.get("embedding"):
        space = Space.parse(options["embedding"])
        named = {
            "provider": space.provider,
            "model": space.model,
            "dimensions": space.dimensions,
            "adapter": space.adapter,
        }
        changed["embedding"] = {**changed.get("embedding", {}), **named}
    return changed


def settled(name: str, pipeline: PipelineConfig, config: Config) -> PipelineConfig:
    """A pipeline with what vecmill.toml says of it outside its own table: its name, and prices."""
    prices = {**config.prices, **pipeline.prices}
    return pipeline.model_copy(update={"name": name if name in config.pipelines else None, "prices": prices})


def splitter_form(cut: Cut, usual: Mapping[str, Any]) -> SplitterConfig:
    """How a file is to be cut: the `usual` values of the form, and over them the options."""
    options = asdict(cut)
    places = _PLACES["splitter"]
    given = {field: options[option] for field, option in places.items() if options[option] is not None}
    try:
        return SplitterConfig.model_validate(_recut(usual, given))
    except ValidationError as error:
        names = {"": "splitter"} | {place.removeprefix("splitter."): name for place, name in _NAMES.items()}
        raise UsageError(explain(error, names)) from error


def cuts_of(kinds: Sequence[str], cut: Cut) -> list[Cut]:
    """The cut of each of several splitters, which takes the options that are for it.

    Raises UsageError for an option that is for none of them.
    """
    options = {option: KINDS_OF[field] for field, option in _PLACES["splitter"].items() if field in KINDS_OF}
    given = [option for option in options if getattr(cut, option) is not None]
    if cut.splitter:
        raise UsageError("--splitter names one, and --compare those to put side by side; give one of the two")
    for option in given:
        if not set(options[option]) & set(kinds):
            of = " or ".join(options[option])
            raise UsageError(
                f"{option_of(option)}: an option of the splitter {of}; compared are {', '.join(kinds)}"
            )
    return [
        replace(cut, splitter=kind, **{option: None for option in given if kind not in options[option]})
        for kind in kinds
    ]


def _recut(before: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """A splitter's form with what is given: another kind or unit goes without the old one's options."""
    kind = given.get("kind", before.get("kind"))
    units = (("characters", "tokens"), ("tokens", "characters"))
    gone = {f"{of}_{other}" for unit, other in units if f"max_{unit}" in given for of in ("max", "overlap")}
    if kind != before.get("kind"):
        gone |= {name for name, kinds in KINDS_OF.items() if kind not in kinds}
    values = {**{name: value for name, value in before.items() if name not in gone}, **given}
    if "separators" in given and not values.get("separators_are_regex"):
        values["separators"] = [_ESCAPE.sub(_meant, text) for text in given["separators"]]
    return values


def _meant(escape: re.Match[str]) -> str:
    """What an escape of a separator stands for."""
    short, code = escape[1], escape[2] or escape[3]
    return chr(int(code, 16)) if code else _SHORT[short]


def source_form(name: str, rows: Rows, config: Config) -> SourceConfig:
    """The source of the pipeline called `name`, or the source `name`; options have the last word."""
    declared = config.pipelines.get(name)
    values = declared.source.model_dump() if declared else _source_in_place(name, rows)
    given = {option: value for option, value in asdict(rows).items() if value is not None}
    try:
        return SourceConfig.model_validate({**values, **given})
    except ValidationError as error:
        names = {"uri": "the source"} | {option: option_of(option) for option in given}
        raise UsageError(explain(error, names)) from error


def _given_in_place(source: str, run: Run, rows: Rows) -> dict[str, Any]:
    if not run.table:
        raise UsageError(f"{source!r} is no pipeline of vecmill.toml; with a source in place, name a --table")
    return {"table": run.table, "source": _source_in_place(source, rows)}


def _source_in_place(source: str, rows: Rows) -> dict[str, Any]:
    kind = "rows" if rows.text or rows.id or Path(source).suffix.lower() in _ROW_FILES else "files"
    if kind == "rows" and not (rows.text and rows.id):
        raise UsageError('rows need --text (a column, or a template "Title: {a}; {b}") and --id (a column)')
    return {"kind": kind, "uri": source}
