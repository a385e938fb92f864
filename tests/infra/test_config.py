"""The forms of a pipeline."""

import tomllib
from dataclasses import fields
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from infra.config import BudgetConfig, Config, PipelineConfig, ScheduleConfig, SourceConfig, StoreConfig
from infra.embedding_form import EmbeddingConfig
from infra.splitter_form import KINDS_OF, SplitterConfig
from pipeline.job import Budget, Endpoint
from pipeline.space import Space
from pipeline.splitter_spec import SplitterSpec

SOURCE = {"uri": "docs"}


def _wrong(form: dict[str, Any]) -> list[str]:
    """Where a pipeline's form is wrong."""
    with pytest.raises(ValidationError) as raised:
        PipelineConfig.model_validate({"table": "docs", "source": SOURCE, **form})
    return [".".join(map(str, problem["loc"])) for problem in raised.value.errors()]


def test_a_table_and_a_source_are_all_that_a_pipeline_needs() -> None:
    pipeline = PipelineConfig.model_validate({"table": "docs", "source": SOURCE})
    assert pipeline.source == SourceConfig(kind="files", uri="docs")
    assert (pipeline.splitter, pipeline.schedule, pipeline.workers) == (None, None, None)
    assert (pipeline.delete_missing, pipeline.engine) == (True, "auto")


@pytest.mark.parametrize(
    ("form", "places"),
    [
        ({"tabel": "x"}, ["tabel"]),
        ({"source": {"uri": "docs", "pattern": "*"}}, ["source.pattern"]),
        ({"source": {"uri": ""}}, ["source.uri"]),
        ({"source": "docs"}, ["source"]),
        ({"source": {"uri": "docs", "kind": "web"}}, ["source.kind"]),
        ({"source": {"uri": "a.csv", "kind": "rows", "text": "body"}}, ["source"]),
        ({"source": {"uri": "a.csv", "text": "body", "id": "key"}}, ["source"]),
        ({"splitter": {"max_tokens": 7}}, ["splitter.max_tokens"]),
        ({"splitter": {"max_tokens": "many"}}, ["splitter.max_tokens"]),
        ({"splitter": {"max_tokens": 100, "overlap_tokens": 51}}, ["splitter"]),
        ({"splitter": {"kind": "magic"}}, ["splitter.kind"]),
        ({"splitter": {"max_tokens": 100, "max_characters": 400}}, ["splitter.max_characters"]),
        ({"splitter": {"max_tokens": 100, "overlap_characters": 4}}, ["splitter.overlap_characters"]),
        ({"splitter": {"max_characters": 100, "overlap_tokens": 4}}, ["splitter.overlap_tokens"]),
        ({"splitter": {"max_characters": 100, "overlap_characters": 100}}, ["splitter"]),
        ({"splitter": {"kind": "recursive", "separators": ["("], "separators_are_regex": True}},
         ["splitter.separators"]),
        ({"splitter": {"kind": "recursive", "separators": []}}, ["splitter.separators"]),
        ({"splitter": {"kind": "semantic", "breakpoints": "magic"}}, ["splitter.breakpoints"]),
        ({"splitter": {"kind": "semantic", "max_tokens": 64, "min_tokens": 33}}, ["splitter"]),
        ({"embedding": {"model": "m"}}, ["embedding"]),
        ({"embedding": {"provider": "cohere", "model": "m", "dimensions": 3}}, ["embedding.provider"]),
        ({"embedding": {"pooling": "max"}}, ["embedding.pooling"]),
        ({"embedding": {"rpm": 0, "max_in_flight": 0}}, ["embedding.rpm", "embedding.max_in_flight"]),
        ({"embedding": {"tpm": 1.5, "batch_inputs": -1}}, ["embedding.tpm", "embedding.batch_inputs"]),
        ({"embedding": {"timeout": 0, "patience": -1}}, ["embedding.timeout", "embedding.patience"]),
        ({"budget": {"usd": -0.01}}, ["budget.usd"]),
        ({"budget": {"usd": float("nan")}}, ["budget.usd"]),
        ({"budget": {"failures": 1.01}}, ["budget.failures"]),
        ({"schedule": {}}, ["schedule"]),
        ({"schedule": {"cron": "0 * * * *", "interval": 5}}, ["schedule"]),
        ({"engine": "spark"}, ["engine"]),
        ({"workers": 0}, ["workers"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_found_where_it_stands(form: dict[str, Any], places: list[str]) -> None:
    assert _wrong(form) == places


@pytest.mark.parametrize("name", ["docs", "docs-v2", "a.b_c", "2024", "_x"])
def test_a_table_has_a_name_that_is_safe_in_a_path_and_in_sql(name: str) -> None:
    assert PipelineConfig(table=name, source=SourceConfig(uri="docs")).table == name


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "a b", "docs@3", "資料", "docs\n", "-x"])
def test_other_names_of_tables_are_refused(name: str) -> None:
    assert _wrong({"table": name}) == ["table"]


@pytest.mark.parametrize("name", ["runs", "versions", "dead_letters"])
def test_a_table_cannot_take_the_name_of_a_view_of_the_stores_own(name: str) -> None:
    with pytest.raises(ValidationError, match=f"'{name}' is the name of a view of vecmill's own"):
        PipelineConfig(table=name, source=SourceConfig(uri="docs"))


def test_half_of_the_chunk_may_overlap_and_no_more() -> None:
    assert SplitterConfig(max_tokens=100, overlap_tokens=50).overlap_tokens == 50
    with pytest.raises(ValidationError, match="overlap_tokens is 51; it must lie between 0 and half"):
        SplitterConfig(max_tokens=100, overlap_tokens=51)


GIVEN: dict[str, Any] = {
    "prefix_headings": True, "repeat_table_header": True, "join_sections": False, "separators": ["。"],
    "separators_are_regex": False, "keep_separator": "start", "langchain": False, "breakpoints": "gradient",
    "threshold": 90.0, "buffer": 3, "min_tokens": 8, "language": "python",
}  # fmt: skip


@pytest.mark.parametrize("kind", get_args(SplitterConfig.model_fields["kind"].annotation))
def test_a_splitter_takes_its_own_options_and_refuses_those_of_others_by_their_names(kind: str) -> None:
    taken = [name for name in GIVEN if kind in KINDS_OF[name]]
    spec = SplitterConfig.model_validate({"kind": kind, **{name: GIVEN[name] for name in taken}}).spec()
    assert {name: getattr(spec, name) for name in taken} == {
        name: tuple(value) if isinstance(value, list) else value for name in taken for value in [GIVEN[name]]
    }
    assert _wrong({"splitter": {"kind": kind, **GIVEN}}) == [
        f"splitter.{name}" for name in SplitterConfig.model_fields if name in GIVEN and name not in taken
    ]


def test_options_that_only_some_splitters_have_are_all_tested() -> None:
    assert set(GIVEN) == set(KINDS_OF)
    assert set(KINDS_OF) <= set(SplitterConfig.model_fields)
    assert set(SplitterConfig.model_fields) == {field.name for field in fields(SplitterSpec)}


@pytest.mark.parametrize(
    ("kind", "prefixed"),
    [("markdown", True), ("html", True), ("code", True), ("recursive", False), ("semantic", False)],
)
def test_headings_are_embedded_where_there_are_some(kind: str, prefixed: bool) -> None:
    assert SplitterConfig.model_validate({"kind": kind}).spec().prefix_headings is prefixed


def test_rows_are_cut_as_plain_text_unless_a_splitter_is_named() -> None:
    rows = {"kind": "rows", "uri": "a.csv", "text": "body", "id": "key"}
    for named, kind in (({"max_tokens": 64}, "recursive"), ({"kind": "markdown"}, "markdown")):
        pipeline = PipelineConfig.model_validate({"table": "t", "source": rows, "splitter": named})
        assert pipeline.splitter
        assert pipeline.splitter.kind == kind
        assert PipelineConfig.model_validate_json(pipeline.model_dump_json()) == pipeline


def test_a_splitter_is_written_in_toml_as_it_reads() -> None:
    written = """splitter = { kind = "recursive", max_characters = 1000, separators = ["\\n\\n", "。"] }"""
    form = SplitterConfig.model_validate(tomllib.loads(written)["splitter"])
    assert form.spec() == SplitterSpec(
        "recursive", max_characters=1000, separators=("\n\n", "。"), prefix_headings=False
    )


def test_the_forms_defaults_are_those_of_the_model() -> None:
    assert SplitterConfig().spec() == SplitterSpec()
    assert Budget(**BudgetConfig().model_dump()) == Budget()
    embedding = EmbeddingConfig().model_dump()
    for name in ("rpm", "tpm", "max_in_flight", "batch_inputs", "timeout", "patience"):
        assert embedding[name] == getattr(Endpoint(), name)
    assert StoreConfig().uri == "./vecmill-data"


def test_a_schedule_is_a_cron_expression_or_an_interval() -> None:
    assert ScheduleConfig(cron="*/15 * * * *", timezone="Asia/Tokyo").interval is None
    assert ScheduleConfig(interval=60).timezone == "UTC"


def test_every_field_a_person_fills_in_has_a_title() -> None:
    groups = (StoreConfig, SourceConfig, SplitterConfig, EmbeddingConfig, BudgetConfig, ScheduleConfig)
    untitled = [
        f"{form.__name__}.{name}"
        for form in groups
        for name, field in form.model_fields.items()
        if not field.title
    ]
    assert untitled == []


def test_a_form_comes_back_from_json_as_it_was() -> None:
    config = Config.model_validate(
        {"pipelines": {"docs": {"table": "docs", "source": SOURCE, "splitter": {"max_tokens": 64}}}}
    )
    assert Config.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (90, 90.0),
        ("90", 90.0),
        ("90s", 90.0),
        ("15m", 900.0),
        ("1h30m", 5400.0),
        ("1d 2h", 93600.0),
        ("0.5s", 0.5),
    ],
)
def test_a_time_limit_is_in_seconds_or_as_people_write_times(written: Any, seconds: float) -> None:
    form = PipelineConfig(table="t", source=SourceConfig(uri="x"), time_limit=written)
    assert form.time_limit == seconds


@pytest.mark.parametrize("written", ["", "soon", "1h 30", "30m1h", "-5", 0, "0", "1.5h"])
def test_what_is_no_time_limit_is_refused(written: Any) -> None:
    with pytest.raises(ValidationError):
        PipelineConfig(table="t", source=SourceConfig(uri="x"), time_limit=written)


def test_prices_are_of_models_and_never_below_nothing() -> None:
    assert Config.model_validate({"prices": {"openai/my-model": 0.05}}).prices == {"openai/my-model": 0.05}
    with pytest.raises(ValidationError, match="provider/model"):
        Config.model_validate({"prices": {"my-model": 0.05}})
    with pytest.raises(ValidationError):
        Config.model_validate({"prices": {"openai/my-model": -1}})


@pytest.mark.parametrize(
    ("written", "hours"), [(24, 24.0), ("24", 24.0), ("36h", 36.0), ("2d", 48.0), ("90m", 1.5), (0, 0.0)]
)
def test_a_deadline_is_in_hours_or_as_people_write_times(written: Any, hours: float) -> None:
    form = EmbeddingConfig(lane="auto", deadline=written)
    assert form.deadline == hours


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"deadline": "tomorrow"}, "write hours, or such as 36h or 2d"),
        ({"deadline": -1}, "greater than or equal to 0"),
        ({"lane": "fast"}, "'ordinary', 'batch' or 'auto'"),
        ({"enqueued_tokens": 0}, "greater than or equal to 1"),
    ],
)
def test_what_is_no_lane_or_deadline_is_refused(form: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        EmbeddingConfig.model_validate(form)


def test_a_space_has_its_prefixes_and_how_its_model_is_used() -> None:
    named = {"provider": "onnx", "model": "models/e5", "dimensions": 128, "document_prefix": "passage: "}
    form = EmbeddingConfig.model_validate({**named, "pooling": "cls", "matryoshka": True})
    assert form.space() == Space("onnx", "models/e5", 128, "passage: ", pooling="cls", matryoshka=True)
    assert EmbeddingConfig.model_validate(named).space() == Space("onnx", "models/e5", 128, "passage: ")
