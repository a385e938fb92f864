"""The forms of a pipeline: the same models check vecmill.toml, the options and the dashboard's forms."""

from datetime import UTC, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pipeline.embedding.address import checked_address
from pipeline.errors import InputError
from pipeline.model import SplitterSpec
from pipeline.schema import SYSTEM_VIEWS


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StoreConfig(_Form):
    """Where everything is kept."""

    uri: str = Field(
        "./vecmill-data",
        min_length=1,
        title="Store",
        description="A folder, or a URL such as s3://bucket/prefix",
    )


class SourceConfig(_Form):
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


class SplitterConfig(_Form):
    """How documents are cut."""

    kind: Literal["markdown", "recursive"] = Field("markdown", title="Splitter")
    max_tokens: int = Field(256, ge=8, title="Tokens a chunk, at most")
    overlap_tokens: int = Field(0, ge=0, title="Tokens that neighbours share, at most")
    prefix_headings: bool = Field(True, title="Embed headings with the text", description="Markdown only")

    @model_validator(mode="after")
    def _spec_can_be_made(self) -> "SplitterConfig":
        try:
            SplitterSpec(**self.model_dump())
        except InputError as error:
            raise ValueError(str(error)) from error
        return self


class EmbeddingConfig(_Form):
    """The embedding space, and how its endpoint is used."""

    provider: Literal["local", "openai"] | None = Field(
        None, title="Provider", description="None: the table's own, or local/wordllama@256"
    )
    model: str | None = Field(None, title="Model")
    dimensions: int | None = Field(None, ge=1, title="Dimensions")
    document_prefix: str = Field("", title="Prefix of documents", description="As e5 models want it")
    query_prefix: str = Field("", title="Prefix of queries")
    base_url: str | None = Field(
        None, title="Endpoint", description="Any server that speaks OpenAI's protocol"
    )
    api_key_env: str = Field("OPENAI_API_KEY", title="Variable that holds the key")
    rpm: int | None = Field(None, ge=1, title="Requests a minute")
    tpm: int | None = Field(None, ge=1, title="Tokens a minute")
    max_in_flight: int = Field(8, ge=1, title="Requests at once")
    batch_inputs: int | None = Field(None, ge=1, title="Texts a request")
    timeout: float = Field(60.0, gt=0, title="Seconds an attempt may take")
    patience: float = Field(180.0, gt=0, title="Seconds a request may take with its retries")

    @field_validator("base_url")
    @classmethod
    def _address_is_one(cls, url: str | None) -> str | None:
        try:
            return url and checked_address(url)
        except InputError as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _space_is_whole(self) -> "EmbeddingConfig":
        named = [self.provider, self.model, self.dimensions]
        if any(named) and not all(named):
            raise ValueError("a space needs all three of `provider`, `model` and `dimensions`")
        return self


class BudgetConfig(_Form):
    """What a run may spend, and how much may fail."""

    usd: float | None = Field(None, ge=0, title="US dollars")
    failures: float = Field(
        0.01, ge=0, le=1, title="Share of documents that may fail", description="Rounded up"
    )


class ScheduleConfig(_Form):
    """When a pipeline runs by itself."""

    cron: str | None = Field(None, title="Cron expression")
    interval: float | None = Field(None, gt=0, title="Seconds between runs")
    timezone: str = Field("UTC", title="Time zone")

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


class PipelineConfig(_Form):
    """From a source to a table."""

    table: str = Field(title="Table", pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")
    source: SourceConfig
    splitter: SplitterConfig | None = Field(None, description="None: the table's own, or markdown")
    embedding: EmbeddingConfig = EmbeddingConfig()
    budget: BudgetConfig = BudgetConfig()
    schedule: ScheduleConfig | None = None
    delete_missing: bool = Field(True, title="Delete what the source no longer has")
    engine: Literal["auto", "inline", "ray"] = Field("auto", title="Engine")
    workers: int | None = Field(None, ge=1, title="Ray workers")

    @model_validator(mode="after")
    def _table_is_free(self) -> "PipelineConfig":
        if self.table in SYSTEM_VIEWS:
            raise ValueError(
                f"{self.table!r} is the name of a view of vecmill's own; name the table otherwise"
            )
        return self


class Config(_Form):
    """All of vecmill.toml."""

    store: StoreConfig = StoreConfig()
    pipelines: dict[str, PipelineConfig] = {}
