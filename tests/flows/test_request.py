"""From a command's words to the form of a pipeline."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from flows.options import Common, Cut, Rows, Run
from flows.request import load, requested, splitter_form
from infra.config import Config, PipelineConfig
from infra.splitter_form import SplitterConfig
from pipeline.errors import InputError, UsageError

DECLARED = {
    "table": "handbook",
    "source": {"uri": "/docs", "glob": "**/*.md"},
    "splitter": {"kind": "recursive", "max_tokens": 100},
    "embedding": {"provider": "openai", "model": "m", "dimensions": 64, "rpm": 10, "query_prefix": "q: "},
    "budget": {"usd": 5.0},
    "delete_missing": False,
}
CONFIG = Config.model_validate({"pipelines": {"docs": DECLARED}})


def _declared(*groups: Run | Cut | Rows) -> PipelineConfig:
    return requested("docs", *_groups(*groups), CONFIG)


def _in_place(source: str, *groups: Run | Cut | Rows) -> PipelineConfig:
    run, cut, rows = _groups(*groups)
    return requested(source, replace(run, table="t"), cut, rows, CONFIG)


def _groups(*given: Run | Cut | Rows) -> tuple[Run, Cut, Rows]:
    groups = {type(group): group for group in (Run(), Cut(), Rows(), *given)}
    return cast("tuple[Run, Cut, Rows]", (groups[Run], groups[Cut], groups[Rows]))


def test_a_pipeline_is_taken_as_it_is_declared() -> None:
    assert _declared() == CONFIG.pipelines["docs"]


def test_a_source_in_place_has_every_default() -> None:
    pipeline = _in_place("some/folder")
    assert pipeline == PipelineConfig.model_validate({"table": "t", "source": {"uri": "some/folder"}})


@pytest.mark.parametrize(
    ("option", "form", "field"),
    [
        ({"base_url": "http://x/v1"}, "embedding", "base_url"),
        ({"api_key_env": "KEY"}, "embedding", "api_key_env"),
        ({"rpm": 7}, "embedding", "rpm"),
        ({"tpm": 7}, "embedding", "tpm"),
        ({"max_in_flight": 3}, "embedding", "max_in_flight"),
        ({"batch_inputs": 3}, "embedding", "batch_inputs"),
        ({"budget_usd": 0.0}, "budget", "usd"),
        ({"budget_failures": 0.0}, "budget", "failures"),
        ({"table": "other"}, "", "table"),
        ({"engine": "inline"}, "", "engine"),
        ({"workers": 2}, "", "workers"),
        ({"priority": "backfill"}, "", "priority"),
        ({"delete_missing": True}, "", "delete_missing"),
    ],
)
def test_an_option_has_the_last_word_over_its_field_and_touches_no_other(
    option: dict[str, Any], form: str, field: str
) -> None:
    expected = CONFIG.pipelines["docs"].model_dump()
    (expected[form] if form else expected)[field] = next(iter(option.values()))
    assert _declared(Run(**option)).model_dump() == expected


@pytest.mark.parametrize(
    ("option", "field", "value"),
    [
        ({"splitter": "sentence"}, "kind", "sentence"),
        ({"max_tokens": 64}, "max_tokens", 64),
        ({"overlap_tokens": 8}, "overlap_tokens", 8),
        ({"separator": ["\\n\\n", "。"]}, "separators", ("\n\n", "。")),
        ({"langchain": True}, "langchain", True),
    ],
)
def test_an_option_of_a_cut_has_the_last_word(option: dict[str, Any], field: str, value: object) -> None:
    expected = CONFIG.pipelines["docs"].model_dump()
    expected["splitter"][field] = value
    assert _declared(Cut(**option)).model_dump() == expected


def test_another_unit_takes_the_declared_bounds_place() -> None:
    declared = {**DECLARED, "splitter": {"max_tokens": 100, "overlap_tokens": 10}}
    config = Config.model_validate({"pipelines": {"docs": declared}})
    splitter = requested("docs", Run(), Cut(max_characters=500), Rows(), config).splitter
    assert splitter == SplitterConfig(max_characters=500)


def test_another_splitter_goes_without_the_options_of_the_declared_one() -> None:
    declared = {**DECLARED, "splitter": {"kind": "markdown", "max_tokens": 100, "join_sections": True}}
    config = Config.model_validate({"pipelines": {"docs": declared}})
    splitter = requested("docs", Run(), Cut(splitter="fixed"), Rows(), config).splitter
    assert splitter == SplitterConfig(kind="fixed", max_tokens=100)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r"\n\n", "\n\n"),
        (r"\t|\r|\f|\v|\0", "\t|\r|\f|\v|\0"),
        (r"\x2c\u3002", ",。"),
        (r"\\n", r"\n"),
        (r"\section", r"\section"),
        ("\\", "\\"),
        ("", ""),
    ],
)
def test_escapes_of_a_separator_are_understood_and_other_backslashes_stay(written: str, meant: str) -> None:
    assert splitter_form(Cut(splitter="recursive", separator=[written]), {}).separators == (meant,)


def test_escapes_of_an_expression_are_left_to_it() -> None:
    form = splitter_form(Cut(splitter="recursive", separator=[r"\n(?=第\d)"], regex=True), {})
    assert form.separators == (r"\n(?=第\d)",)


def test_the_glob_of_the_command_replaces_the_pipelines() -> None:
    assert _declared(Rows(glob="*.txt")).source.glob == "*.txt"


def test_an_embedding_replaces_the_space_and_keeps_how_it_is_reached() -> None:
    embedding = _declared(Run(embedding="openai/BAAI/bge-m3@1024")).embedding
    assert (embedding.provider, embedding.model, embedding.dimensions) == ("openai", "BAAI/bge-m3", 1024)
    assert (embedding.rpm, embedding.query_prefix) == (10, "q: ")


@pytest.mark.parametrize(
    ("source", "rows", "kind"),
    [
        ("docs.md", Rows(), "files"),
        ("folder", Rows(), "files"),
        ("a.CSV", Rows("body", "key"), "rows"),
        ("data/*.parquet", Rows("{a}: {b}", "key"), "rows"),
        ("folder", Rows("body", "key"), "rows"),
    ],
)
def test_rows_are_meant_by_the_name_or_by_the_options(source: str, rows: Rows, kind: str) -> None:
    form = _in_place(source, rows).source
    assert (form.kind, form.uri, form.text, form.id) == (kind, source, rows.text, rows.id)


@pytest.mark.parametrize("rows", [Rows(), Rows(text="body"), Rows(id="key")])
def test_rows_without_a_text_and_an_id_are_a_usage_error(rows: Rows) -> None:
    with pytest.raises(UsageError, match=r"rows need --text .* and --id"):
        _in_place("a.jsonl", rows)


@pytest.mark.parametrize("name", ["dosc", "./docs", "山"])
def test_a_source_in_place_needs_a_table(name: str) -> None:
    with pytest.raises(UsageError) as raised:
        requested(name, Run(), Cut(), Rows(), CONFIG)
    assert str(raised.value) == (
        f"'{name}' is no pipeline of vecmill.toml; with a source in place, name a --table"
    )


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (Run(rpm=0), "--rpm is 0: Input should be greater than or equal to 1"),
        (Run(engine="spark"), "--engine is 'spark': Input should be 'auto', 'inline' or 'ray'"),
        (
            Run(embedding="cohere/x@3"),
            "--embedding is 'cohere': Input should be 'local', 'onnx', 'openai' or 'sentence-transformers'",
        ),
        (Run(budget_usd=-1.0), "--budget-usd is -1.0: Input should be greater than or equal to 0"),
        (Run(workers=0), "--workers is 0: Input should be greater than or equal to 1"),
    ],
)
def test_a_wrong_option_is_called_by_its_name_on_the_command_line(run: Run, said: str) -> None:
    makers: tuple[Callable[[], object], ...] = (lambda: _in_place("folder", run), lambda: _declared(run))
    for make in makers:
        with pytest.raises(UsageError) as raised:
            make()
        assert str(raised.value) == said


@pytest.mark.parametrize(
    ("cut", "said"),
    [
        (
            Cut(splitter="magic"),
            "--splitter is 'magic': Input should be 'markdown', 'recursive', 'semantic', 'sentence', "
            "'fixed', 'html' or 'code'",
        ),
        (Cut(max_tokens=4), "--max-tokens is 4: Input should be greater than or equal to 8"),
        (
            Cut(max_tokens=64, overlap_tokens=40),
            "splitter: overlap_tokens is 40; it must lie between 0 and half of max_tokens (32)",
        ),
        (
            Cut(max_tokens=64, max_characters=100),
            "--max-characters: chunks are bounded by tokens already, and by one unit only; leave one out",
        ),
        (
            Cut(max_characters=100, overlap_tokens=8),
            "--overlap-tokens: the bound is in characters, and an overlap has the bound's unit",
        ),
        (
            Cut(overlap_characters=8),
            "--overlap-characters: the bound is in tokens, and an overlap has the bound's unit",
        ),
        (
            Cut(splitter="fixed", join_sections=True),
            "--join-sections: an option of the splitter markdown; this one is fixed",
        ),
        (
            Cut(splitter="fixed", prefix_headings=True),
            "--prefix-headings: an option of the splitter markdown or html or code; this one is fixed",
        ),
        (
            Cut(splitter="markdown", separator=["。"]),
            "--separator: an option of the splitter recursive; this one is markdown",
        ),
        (
            Cut(splitter="recursive", separator=["a", "b(c"], regex=True),
            "--separator: 'b(c' is no regular expression: missing ), unterminated subpattern at position 1",
        ),
        (
            Cut(splitter="recursive", regex=True),
            "--separator: there are none to read as regular expressions; give some",
        ),
        (
            Cut(splitter="recursive", keep_separator="end"),
            "--keep-separator: says what to make of separators, and there are none; give some",
        ),
        (
            Cut(splitter="recursive", keep_separator="both"),
            "--keep-separator is 'both': Input should be 'start', 'end' or 'drop'",
        ),
        (Cut(splitter="semantic", buffer=0), "--buffer is 0: Input should be greater than or equal to 1"),
        (
            Cut(splitter="semantic", breakpoints="percentile", threshold=101),
            "splitter: the threshold is 101; for percentile it is a percentile, from 0 to 100",
        ),
    ],
)
def test_a_wrong_cut_is_refused_for_a_run_and_for_a_file(cut: Cut, said: str) -> None:
    makers: tuple[Callable[[], object], ...] = (lambda: _in_place("a", cut), lambda: splitter_form(cut, {}))
    for make in makers:
        with pytest.raises(UsageError) as raised:
            make()
        assert str(raised.value) == said


@pytest.mark.parametrize("table", ["a/b", "..", "資料"])
def test_a_wrong_table_is_a_usage_error(table: str) -> None:
    with pytest.raises(UsageError, match=f"--table is '{table}'"):
        requested("folder", Run(table=table), Cut(), Rows(), CONFIG)


def test_a_table_named_like_a_view_of_the_stores_own_is_a_usage_error() -> None:
    with pytest.raises(UsageError) as raised:
        requested("folder", Run(table="runs"), Cut(), Rows(), CONFIG)
    said = "'runs' is the name of a view of vecmill's own; name the table otherwise"
    assert str(raised.value) == said


def test_an_empty_source_is_refused_and_does_not_mean_this_folder() -> None:
    with pytest.raises(UsageError, match="the source is ''"):
        _in_place("")


@pytest.mark.parametrize(
    "name", ["local", "local/wordllama", "wordllama@256", "local/wordllama@0", "local/@64"]
)
def test_what_is_no_space_is_refused_with_how_to_write_one(name: str) -> None:
    with pytest.raises(InputError, match="write provider/model@dimensions"):
        _in_place("folder", Run(embedding=name))


def test_the_store_of_the_command_goes_before_the_environments_and_that_before_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "vecmill.toml"
    file.write_text('[store]\nuri = "from-file"\n')
    assert load(Common(config=str(file))).store.uri == str(tmp_path / "from-file")
    monkeypatch.setenv("VECMILL_STORE", "from-environment")
    assert load(Common(config=str(file))).store.uri == "from-environment"
    assert load(Common(store="from-command", config=str(file))).store.uri == "from-command"


def test_another_bucket_is_of_the_files_server_and_a_folder_is_of_none(tmp_path: Path) -> None:
    file = tmp_path / "vecmill.toml"
    file.write_text('[store]\nuri = "s3://b"\nendpoint_url = "https://host"\nregion = "eu"\n')
    named = {"s3://c": "s3://c?endpoint_url=https://host&region=eu", "here": "here"}
    named["s3://c?region=us"] = "s3://c?endpoint_url=https://host&region=us"
    for name, uri in named.items():
        assert load(Common(store=name, config=str(file))).store.uri == uri


@pytest.mark.parametrize("name", ["zzz://x", "s3://", "s3://key:MARKER@b", "s3://b?secret=MARKER"])
def test_what_is_no_store_is_refused_by_its_option_without_what_it_may_hold(name: str) -> None:
    with pytest.raises(UsageError, match=r"^--store: ") as refused:
        load(Common(store=name))
    assert "MARKER" not in str(refused.value)
