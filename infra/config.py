"""The forms of a pipeline: the same models check vecmill.toml, the options and the dashboard's forms."""

import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from pipeline.embedding.address import checked_address
from pipeline.errors import InputError
from pipeline.model import Space, SplitterSpec
from pipeline.place import Place, is_remote
from pipeline.schema import SYSTEM_VIEWS
from pipeline.store.keep import Keep

DEFAULT_SPACE = Space("local", "wordllama", 256)

_USUAL = SplitterSpec()

# The options that not every splitter has, and the splitters that have them.
KINDS_OF = {
    "prefix_headings": ("markdown", "html", "code"),
    "repeat_table_header": ("markdown",),
    "join_sections": ("markdown",),
    "separators": ("recursive",),
    "separators_are_regex": ("recursive",),
    "keep_separator": ("recursive",),
    "langchain": ("recursive",),
    "breakpoints": ("semantic",),
    "threshold": ("semantic",),
    "buffer": ("semantic",),
    "min_tokens": ("semantic",),
    "language": ("code",),
}


# Written like 90, 90s, 15m or 1h30m.
_DURATION = re.compile(r"(?:(\d+)d)?\s*(?:(\d+)h)?\s*(?:(\d+)m)?\s*(?:(\d+(?:\.\d+)?)s)?")


def _seconds(text: str) -> float:
    with suppress(ValueError):
        return float(text)
    found = _DURATION.fullmatch(text.strip())
    if not found or not any(found.groups()):
        raise ValueError(f"{text!r} is no time; write seconds, or such as 90s, 15m or 1h30m")
    parts = [float(part or 0) for part in found.groups()]
    return sum(part * unit for part, unit in zip(parts, (86400, 3600, 60, 1), strict=True))


def _named(prices: dict[str, float]) -> dict[str, float]:
    for name in prices:
        provider, slash, model = name.partition("/")
        if not (provider and slash and model):
            raise ValueError(f"{name!r} is no model; write provider/model, such as openai/my-model")
    return prices


Prices = Annotated[dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]], AfterValidator(_named)]
"""USD a million tokens, by provider/model: in place of the price list's."""


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StoreConfig(_Form):
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
    """How documents are cut. What is left open has the usual value of `SplitterSpec`."""

    kind: Literal["markdown", "recursive", "semantic", "sentence", "fixed", "html", "code"] = Field(
        "markdown", title="Splitter"
    )
    max_tokens: int | None = Field(
        None,
        ge=8,
        title="Tokens a chunk, at most",
        description=f"{_USUAL.max_tokens}, unless characters are the bound",
    )
    max_characters: int | None = Field(
        None, ge=1, title="Characters a chunk, at most", description="In place of tokens"
    )
    overlap_tokens: int | None = Field(
        None, ge=0, title="Tokens that neighbours share, at most", description="Up to half of a chunk; 0"
    )
    overlap_characters: int | None = Field(
        None, ge=0, title="Characters that neighbours share, at most", description="In place of tokens"
    )
    prefix_headings: bool | None = Field(
        None, title="Embed headings with the text", description="markdown, html, code; yes"
    )
    repeat_table_header: bool | None = Field(
        None, title="Embed its header with each piece of a table", description="markdown; yes"
    )
    join_sections: bool | None = Field(
        None, title="Pack small neighbouring sections together", description="markdown; no"
    )
    separators: tuple[str, ...] | None = Field(
        None, min_length=1, title="Separators", description="recursive: from coarse to fine"
    )
    langchain: bool | None = Field(
        None, title="Cut as LangChain does", description="recursive: where its behaviour is no bug; no"
    )
    separators_are_regex: bool | None = Field(
        None, title="Separators are regular expressions", description="recursive; no"
    )
    keep_separator: Literal["start", "end", "drop"] | None = Field(
        None, title="Which piece a separator belongs to", description="recursive; start"
    )
    breakpoints: (
        Literal["optimal", "percentile", "standard_deviation", "interquartile", "gradient"] | None
    ) = Field(None, title="How breaks are found", description="semantic; optimal")
    threshold: float | None = Field(
        None, title="Threshold of a break", description="semantic: the usual one of how breaks are found"
    )
    buffer: int | None = Field(
        None,
        ge=1,
        title="Sentences on each side that tell a break",
        description=f"semantic; {_USUAL.buffer}",
    )
    min_tokens: int | None = Field(
        None, ge=0, title="Tokens a chunk, at least", description="semantic: smaller ones join a neighbour; 0"
    )
    language: str | None = Field(
        None,
        min_length=1,
        title="Programming language",
        description="code: the one that the file's name tells",
    )

    @field_validator(*KINDS_OF)
    @classmethod
    def _kind_uses_it(cls, value: Any, field: ValidationInfo) -> Any:
        kinds, kind = KINDS_OF[str(field.field_name)], field.data.get("kind")
        if value is not None and kind and kind not in kinds:
            raise ValueError(f"an option of the splitter {' or '.join(kinds)}; this one is {kind}")
        return value

    @field_validator("max_characters", "overlap_tokens", "overlap_characters")
    @classmethod
    def _one_unit(cls, value: int | None, field: ValidationInfo) -> int | None:
        if field.field_name == "max_characters":
            if value is not None and field.data.get("max_tokens") is not None:
                raise ValueError("chunks are bounded by tokens already, and by one unit only; leave one out")
        elif value and "max_characters" in field.data:
            bound = "tokens" if field.data["max_characters"] is None else "characters"
            if not str(field.field_name).endswith(bound):
                raise ValueError(f"the bound is in {bound}, and an overlap has the bound's unit")
        return value

    @field_validator("separators_are_regex", "keep_separator")
    @classmethod
    def _there_are_separators(cls, value: Any, field: ValidationInfo) -> Any:
        separators = field.data.get("separators", ())
        if value and separators is None and not field.data.get("langchain"):
            raise ValueError("says what to make of separators, and there are none; give some")
        for separator in separators or () if value is True else ():
            try:
                re.compile(separator)
            except re.error as error:
                raise ValueError(f"{separator!r} is no regular expression: {error}") from None
        return value

    @model_validator(mode="after")
    def _spec_can_be_made(self) -> "SplitterConfig":
        try:
            self.spec()
        except InputError as error:
            raise ValueError(str(error)) from error
        return self

    def spec(self) -> SplitterSpec:
        """The spec that the form means."""
        values = self.model_dump(exclude_none=True)
        return SplitterSpec(**{"prefix_headings": self.kind in KINDS_OF["prefix_headings"], **values})


class EmbeddingConfig(_Form):
    """The embedding space, and how its endpoint is used."""

    provider: Literal["local", "onnx", "openai", "sentence-transformers"] | None = Field(
        None, title="Provider", description=f"None: the table's own, or {DEFAULT_SPACE.name}"
    )
    model: str | None = Field(None, title="Model")
    dimensions: int | None = Field(None, ge=1, title="Dimensions")
    document_prefix: str = Field("", title="Prefix of documents", description="As e5 models want it")
    query_prefix: str = Field("", title="Prefix of queries")
    pooling: Literal["mean", "cls", "last", "none"] | None = Field(
        None,
        title="From tokens' vectors to a text's",
        description="onnx: where the model's folder says nothing",
    )
    matryoshka: bool = Field(
        False, title="Cut vectors", description="To the dimensions named, fewer than the model's own"
    )
    base_url: str | None = Field(
        None, title="Endpoint", description="Any server that speaks OpenAI's protocol"
    )
    api_key_env: str = Field("OPENAI_API_KEY", title="Variable that holds the key")
    rpm: int | None = Field(None, ge=1, title="Requests a minute")
    tpm: int | None = Field(None, ge=1, title="Tokens a minute")
    max_in_flight: int | None = Field(
        None, ge=1, title="Requests at once", description="None: as many as go well"
    )
    batch_inputs: int | None = Field(None, ge=1, title="Texts a request")
    price: float | None = Field(
        None, ge=0, allow_inf_nan=False, title="USD a million tokens", description="None: the price list's"
    )
    timeout: float = Field(60.0, gt=0, title="Seconds an attempt may take")
    patience: float = Field(180.0, gt=0, title="Seconds a request may take with its retries")
    lane: Literal["ordinary", "batch", "auto"] = Field(
        "ordinary",
        title="Lane",
        description="batch: half the price, within a day; auto: batch if the deadline allows",
    )
    deadline: float | None = Field(
        None,
        ge=0,
        allow_inf_nan=False,
        title="Deadline",
        description="Hours, or such as 2d, that embedding may take; for lane auto",
    )
    enqueued_tokens: int | None = Field(
        None, ge=1, title="Tokens in batches at once", description="The account's limit of the model's queue"
    )

    @field_validator("deadline", mode="before")
    @classmethod
    def _deadline_is_one(cls, deadline: Any) -> Any:
        if not isinstance(deadline, str):
            return deadline
        with suppress(ValueError):
            return float(deadline)
        with suppress(ValueError):
            return _seconds(deadline) / 3600
        raise ValueError(f"{deadline!r} is no time; write hours, or such as 36h or 2d")

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

    def space(self) -> Space | None:
        """The space that the form names; None where it leaves that open."""
        if self.provider is None or self.model is None or self.dimensions is None:
            return None
        return Space(
            self.provider,
            self.model,
            self.dimensions,
            self.document_prefix,
            self.query_prefix,
            pooling=self.pooling or "",
            matryoshka=self.matryoshka,
        )


class BudgetConfig(_Form):
    """What a run may spend, and how much may fail."""

    usd: float | None = Field(None, ge=0, title="US dollars")
    tokens: int | None = Field(None, ge=0, title="Tokens")
    failures: float = Field(
        0.01, ge=0, le=1, title="Share of documents that may fail", description="Rounded up"
    )


class CanaryConfig(_Form):
    """A question whose answer is known."""

    query: str = Field(min_length=1, title="Query")
    doc_ids: tuple[str, ...] = Field(min_length=1, title="Documents that it has to find")
    top_k: int = Field(10, ge=1, title="Among the first so many chunks")


class GateConfig(_Form):
    """What is asked of a run's result before it is published."""

    canaries: tuple[CanaryConfig, ...] = Field((), title="Questions whose answers are known")
    sample: int = Field(
        0, ge=0, le=1000, title="Chunks to embed once more", description="They have to come back alike"
    )


class RetentionConfig(_Form):
    """Which versions of tables stay readable when the store is maintained."""

    versions: int = Field(20, ge=1, title="The newest so many")
    days: float = Field(30.0, ge=0, title="And all that were live within so many days")
    grace: float = Field(
        24.0, ge=0, title="Hours that anything stays", description="For readers and runs that still use it"
    )

    def keep(self) -> Keep:
        """What is kept."""
        return Keep(**self.model_dump())


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
    gate: GateConfig = GateConfig()
    schedule: ScheduleConfig | None = None
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
        return _seconds(limit) if isinstance(limit, str) else limit

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


class Config(_Form):
    """All of vecmill.toml."""

    store: StoreConfig = StoreConfig()
    prices: Prices = {}
    retention: RetentionConfig = RetentionConfig()
    pipelines: dict[str, PipelineConfig] = {}
