"""The form of a backfill: which table, into what, and what it may take."""

from typing import Any, Literal

from pydantic import Field, field_validator

from infra.config import BudgetConfig, Prices
from infra.embedding_form import EmbeddingConfig
from infra.form import Form, seconds
from infra.splitter_form import SplitterConfig
from pipeline.model import PART


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
