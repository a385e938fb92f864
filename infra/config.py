"""The forms of a pipeline: the same models check vecmill.toml, the options and the dashboard's forms."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import (
    AfterValidator,
    ByteSize,
    Field,
    TypeAdapter,
    ValidationInfo,
    field_validator,
    model_validator,
)

from infra.embedding_form import EmbeddingConfig
from infra.evaluate_form import EvaluateConfig
from infra.form import Form, seconds
from infra.splitter_form import SplitterConfig
from pipeline.errors import InputError
from pipeline.model import SYSTEM_VIEWS
from pipeline.place import Place, is_remote
from pipeline.store.keep import Keep


def _named(prices: dict[str, float]) -> dict[str, float]:
    for name in prices:
        provider, slash, model = name.partition("/")
        if not (provider and slash and model):
            raise ValueError(f"{name!r} is no model; write provider/model, such as openai/my-model")
    return prices


Prices = Annotated[dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]], AfterValidator(_named)]
"""USD a million tokens, by provider/model: in place of the price list's."""


class StoreConfig(Form):
    """Where everything is kept; credentials are no part of it."""

    # Before the URI, which takes them in: so they go wherever it goes.
    endpoint_url: str | None = Field(
        None, title="Endpoint", description="Of a server of your own: https://storage.example.com:9000"
    )
    region: str | None = Field(None, title="Region", description="Of the bucket")
    allow_http: bool = Field(False, title="Allow http://", description="All travels unencrypted then")
    uri: str = Field(
        "./vecmill-data",
        min_length=1,
        title="Store",
        description="A folder, or a URL such as s3://bucket/prefix",
        validate_default=True,
    )

    @field_validator("uri")
    @classmethod
    def _with_options(cls, uri: str, info: ValidationInfo) -> str:
        options = {name: value for name, value in info.data.items() if value}
        try:
            return Place.of(uri, **options).address if options or is_remote(uri) else uri
        except InputError as error:
            raise ValueError(str(error)) from None


class SourceConfig(Form):
    """Where documents come from."""

    kind: Literal["files", "rows"] = Field("files", title="Kind")
    uri: str = Field(min_length=1, title="Source", description="A folder, a file or a glob")
    glob: str | None = Field(None, title="Pattern", description="Restricts a folder, for example **/*.md")
    text: str | None = Field(None, title="Text", description='Rows: a column, or "Title: {title}; {body}"')
    id: str | None = Field(None, title="Id", description="Rows: the column that identifies a row")

    @model_validator(mode="after")
    def _rows_are_named(self) -> "SourceConfig":
        if self.kind == "rows" and not (self.text and self.id):
            raise ValueError("rows need `text` (a column or a template) and `id` (a column)")
        if self.kind == "files" and (self.text or self.id):
            raise ValueError('`text` and `id` are for rows; say kind = "rows", or leave them out')
        return self


class BudgetConfig(Form):
    """What a run may spend, and how much may fail."""

    usd: float | None = Field(None, ge=0, title="US dollars")
    tokens: int | None = Field(None, ge=0, title="Tokens")
    failures: float = Field(
        0.01, ge=0, le=1, title="Share of documents that may fail", description="Rounded up"
    )


class CanaryConfig(Form):
    """A question whose answer is known."""

    query: str = Field(min_length=1, title="Query")
    doc_ids: tuple[str, ...] = Field(min_length=1, title="Documents that it has to find")
    top_k: int = Field(10, ge=1, title="Among the first so many chunks")


class QualityConfig(Form):
    """Questions whose answers are known, and how well a table has to rank these."""

    queries: str = Field(min_length=1, title="Questions", description="A file of query_id and text")
    qrels: str = Field(
        min_length=1, title="What answers them", description="A file of query_id, doc_id and relevance"
    )
    at_least: float = Field(ge=0, le=1, title="nDCG@10 by vectors", description="Or nothing is published")


class GateConfig(Form):
    """What is asked of a run's result before it is published."""

    canaries: tuple[CanaryConfig, ...] = Field((), title="Questions whose answers are known")
    sample: int = Field(
        0, ge=0, le=1000, title="Chunks to embed once more", description="They have to come back alike"
    )
    quality: QualityConfig | None = Field(None, title="Quality")


class ApprovalConfig(Form):
    """From which amount on a run waits until a person approves its plan on the dashboard."""

    usd: float | None = Field(None, ge=0, title="Above so many US dollars", description="Or of unknown price")
    tokens: int | None = Field(None, ge=0, title="Above so many tokens")
    hours: float = Field(
        24.0, gt=0, title="Hours to wait", description="Then the run ends, with nothing paid"
    )

    @model_validator(mode="after")
    def _names_an_amount(self) -> "ApprovalConfig":
        if self.usd is None and self.tokens is None:
            raise ValueError("approval needs an amount: `usd` or `tokens`")
        return self

    def amount(self) -> str:
        """The amount, for people."""
        amounts = [f"{self.usd:g} USD"] if self.usd is not None else []
        amounts += [f"{self.tokens:,} tokens"] if self.tokens is not None else []
        return " or ".join(amounts)


class ScheduleConfig(Form):
    """When a pipeline runs by itself."""

    cron: str | None = Field(None, title="Cron expression")
    interval: float | None = Field(
        None, gt=0, title="Time between runs", description="Seconds, or such as 15m or 1h30m"
    )
    timezone: str = Field("UTC", title="Time zone")

    @field_validator("interval", mode="before")
    @classmethod
    def _interval_is_one(cls, interval: Any) -> Any:
        return seconds(interval) if isinstance(interval, str) else interval

    @field_validator("cron")
    @classmethod
    def _cron_is_one(cls, cron: str | None) -> str | None:
        try:
            if cron is not None:
                CronSim(cron, datetime.now(UTC))
        except CronSimError as error:
            raise ValueError(f"{cron!r} is no cron expression ({error})") from None
        return cron

    @field_validator("timezone")
    @classmethod
    def _timezone_is_one(cls, timezone: str) -> str:
        try:
            ZoneInfo(timezone)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{timezone!r} is no time zone, such as Asia/Tokyo") from None
        return timezone

    @model_validator(mode="after")
    def _one_of_two(self) -> "ScheduleConfig":
        if (self.cron is None) == (self.interval is None):
            raise ValueError("a schedule has either `cron` or `interval`")
        return self


class RetentionConfig(Form):
    """Which versions of tables stay readable when the store is maintained."""

    versions: int = Field(20, ge=1, title="The newest so many")
    days: float = Field(30.0, ge=0, title="And all that were live within so many days")
    grace: float = Field(
        24.0, ge=0, title="Hours that anything stays", description="For readers and runs that still use it"
    )
    cache_size: int | None = Field(
        None,
        ge=0,
        title="Bytes of the vector cache",
        description="Or such as 20GB: beyond them what was not used for longest is given up",
    )

    schedule: ScheduleConfig | None = Field(
        None, title="Schedule", description="When all tables are maintained"
    )

    @field_validator("cache_size", mode="before")
    @classmethod
    def _size_is_one(cls, size: Any) -> Any:
        return TypeAdapter(ByteSize).validate_python(size) if isinstance(size, str) else size

    def keep(self) -> Keep:
        """What is kept."""
        return Keep(**self.model_dump(exclude={"schedule"}))


class PipelineConfig(Form):
    """From a source to a table."""

    table: str = Field(title="Table", pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")
    source: SourceConfig
    splitter: SplitterConfig | None = Field(None, description="None: the table's own, or markdown")
    embedding: EmbeddingConfig = EmbeddingConfig()
    budget: BudgetConfig = BudgetConfig()
    gate: GateConfig = GateConfig()
    approval: ApprovalConfig | None = Field(
        None, description="None: the budget alone says what a run may spend"
    )
    schedule: ScheduleConfig | None = None
    overlap: Literal["wait", "skip"] = Field(
        "wait", title="While another run of the table goes on", description="wait for it, or skip this one"
    )
    time_limit: float | None = Field(
        None,
        gt=0,
        title="Time limit",
        description="Seconds, or such as 1h30m, after which a run sends nothing more",
    )
    name: str | None = Field(None, title="Name", description="As vecmill.toml calls the pipeline")
    prices: Prices = Field({}, title="Prices", description="As vecmill.toml has them for all pipelines")
    delete_missing: bool = Field(True, title="Delete what the source no longer has")
    engine: Literal["auto", "inline", "ray"] = Field("auto", title="Engine")
    workers: int | None = Field(None, ge=1, title="Ray workers")
    priority: Literal["schedule", "rerun", "backfill"] = Field(
        "schedule",
        title="Priority",
        description="Where runs share an endpoint's quota, those of the earlier kind go first",
    )

    @field_validator("time_limit", mode="before")
    @classmethod
    def _time_is_one(cls, limit: Any) -> Any:
        return seconds(limit) if isinstance(limit, str) else limit

    @field_validator("splitter", mode="before")
    @classmethod
    def _rows_are_plain_text(cls, splitter: Any, form: ValidationInfo) -> Any:
        """Rows carry no Markdown unless somebody says so."""
        rows = "source" in form.data and form.data["source"].kind == "rows"
        return {"kind": "recursive", **splitter} if rows and isinstance(splitter, dict) else splitter

    @model_validator(mode="after")
    def _table_is_free(self) -> "PipelineConfig":
        if self.table in SYSTEM_VIEWS:
            raise ValueError(
                f"{self.table!r} is the name of a view of vecmill's own; name the table otherwise"
            )
        return self


class EvaluationConfig(EvaluateConfig):
    """What a table is asked again and again."""

    schedule: ScheduleConfig | None = None


class Config(Form):
    """All of vecmill.toml."""

    store: StoreConfig = StoreConfig()
    prices: Prices = Field(default_factory=dict)
    retention: RetentionConfig = RetentionConfig()
    pipelines: dict[str, PipelineConfig] = Field(default_factory=dict)
    evaluations: dict[str, EvaluationConfig] = Field(default_factory=dict)
