"""From a command's words to the form of a pipeline."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from flows.options import Common, Rows, Run
from infra.config import Config, PipelineConfig, StoreConfig
from infra.settings import explain, read_config, read_environment
from pipeline.errors import UsageError
from pipeline.model import Space

_ROW_FILES = (".csv", ".jsonl", ".ndjson", ".parquet")

_PLACES = {
    "splitter": {"kind": "splitter", "max_tokens": "max_tokens", "overlap_tokens": "overlap_tokens"},
    "embedding": {
        name: name for name in ("base_url", "api_key_env", "rpm", "tpm", "max_in_flight", "batch_inputs")
    },
    "budget": {"usd": "budget_usd", "failures": "budget_failures"},
    "source": {"text": "text", "id": "id", "glob": "glob"},
}
_TOP = ("table", "engine", "workers", "delete_missing")

# What a person calls the places of a form on the command line.
_NAMES = {
    "source.uri": "the source",
    "embedding.provider": "--embedding",
    **{
        place: f"--{option.replace('_', '-')}"
        for form, places in _PLACES.items()
        for place, option in [(f"{form}.{field}", option) for field, option in places.items()]
    },
    **{option: f"--{option.replace('_', '-')}" for option in _TOP},
}


def load(common: Common) -> Config:
    """The configuration with the store that the command names, if it names one."""
    environment = read_environment()
    config = read_config(common.config, environment)
    store = common.store or environment.store
    return config.model_copy(update={"store": StoreConfig(uri=store)}) if store else config


def requested(name: str, run: Run, rows: Rows, config: Config) -> PipelineConfig:
    """The pipeline called `name`, or one made for the source `name`; options have the last word."""
    declared = config.pipelines.get(name)
    values = declared.model_dump(exclude_unset=True) if declared else _given_in_place(name, run, rows)
    options = {**asdict(run), **asdict(rows)}
    for form, places in _PLACES.items():
        given = {field: options[option] for field, option in places.items() if options[option] is not None}
        if given:
            values[form] = {**(values.get(form) or {}), **given}
    for option in _TOP:
        if options[option] is not None:
            values[option] = options[option]
    if run.embedding:
        space = Space.parse(run.embedding)
        named = {"provider": space.provider, "model": space.model, "dimensions": space.dimensions}
        values["embedding"] = {**values.get("embedding", {}), **named}
    try:
        return PipelineConfig.model_validate(values)
    except ValidationError as error:
        raise UsageError(explain(error, _NAMES)) from error


def _given_in_place(source: str, run: Run, rows: Rows) -> dict[str, Any]:
    if not run.table:
        raise UsageError(f"{source!r} is no pipeline of vecmill.toml; with a source in place, name a --table")
    kind = "rows" if rows.text or rows.id or Path(source).suffix.lower() in _ROW_FILES else "files"
    if kind == "rows" and not (rows.text and rows.id):
        raise UsageError('rows need --text (a column, or a template "Title: {a}; {b}") and --id (a column)')
    return {"table": run.table, "source": {"kind": kind, "uri": source}}
