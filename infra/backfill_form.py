"""The form of a backfill: which table, into what, and what it may take."""

from typing import Any, Literal

from pydantic import Field, field_validator

from infra.config import BudgetConfig, Prices
from infra.embedding_form import EmbeddingConfig
from infra.form import Form, seconds
from infra.splitter_form import SplitterConfig
from pipeline.condition import Condition
from pipeline.errors import InputError
from pipeline.job import PART


class AfterwardsConfig(Form):
    """What becomes of a generation once it is filled."""

    compare: bool = Field(False, title="Compare it with the live one")
    queries: str | None = Field(
        None, title="Questions", description="A file of query_id and text; None: sentences of the table"
    )
    qrels: str | None = Field(
        None, title="What answers them", description="A file of query_id, doc_id and relevance"
    )
    sample: int = Field(100, ge=1, title="Sentences that are drawn")
    top_k: int = Field(10, ge=1, title="Hits of a question that count")
    switch: bool = Field(False, title="Switch to it", description="As long as the conditions hold, if any")
    switch_if: str | None = Field(
        None, title="Switch if", description="Conditions such as overlap@10>=0.8, recall@10>=live-0.01"
    )

    @field_validator("switch_if")
    @classmethod
    def _conditions_are_some(cls, text: str | None) -> str | None:
        try:
            Condition.parse(text or "chunks>0")
        except InputError as error:
            raise ValueError(str(error)) from None
        return text

    @property
    def compares(self) -> bool:
        """Whether the two are to be compared."""
        return self.compare or any((self.queries, self.qrels, self.switch_if))

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """What has to hold before it is switched to."""
        return Condition.parse(self.switch_if) if self.switch_if else ()


class BackfillConfig(Form):
    """A table beside its live generation, in another space or cut otherwise."""

    table: str = Field(title="Table")
    embedding: EmbeddingConfig = Field(
        EmbeddingConfig(), title="Embedding", description="Without a space: the table's own"
    )
    splitter: SplitterConfig | None = Field(None, description="None: the table's own")
    where: str | None = Field(
        None,
        title="Only documents with a chunk where",
        description="SQL over the table's columns; such a part cannot become the table",
    )
    budget: BudgetConfig = BudgetConfig()
    time_limit: float | None = Field(
        None,
        gt=0,
        title="Time limit",
        description="Seconds, or such as 1h30m, after which nothing more is sent",
    )
    part: int = Field(PART, ge=1, title="Chunks in a part", description="Each is kept once it is done")
    engine: Literal["auto", "inline", "ray"] = Field("auto", title="Engine")
    workers: int | None = Field(None, ge=1, title="Ray workers")
    priority: Literal["schedule", "rerun", "backfill"] = Field(
        "backfill", title="Priority", description="Where runs share an endpoint's quota"
    )
    prices: Prices = Field({}, title="Prices", description="As vecmill.toml has them for all pipelines")

    @field_validator("time_limit", mode="before")
    @classmethod
    def _time_is_one(cls, limit: Any) -> Any:
        return seconds(limit) if isinstance(limit, str) else limit
