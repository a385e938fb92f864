"""The form of a rerun: which run, how much of it, and what is to be other than it was."""

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from infra.config import BudgetConfig
from infra.embedding_form import EmbeddingConfig
from infra.form import Form, seconds
from infra.splitter_form import SplitterConfig


class RerunConfig(Form):
    """A run once more: what is missing of it, or all of it; texts that are known are not paid for again."""

    run_id: str = Field(min_length=1, title="Run", description="As vecmill runs lists them")
    scope: Literal["failed", "all"] = Field(
        "failed",
        title="Scope",
        description="failed: what is missing, which of a finished run are its dead letters; "
        "all: every document, changed or not",
    )
    splitter: SplitterConfig | None = Field(
        None,
        title="Another splitter",
        description="With scope all; the whole table is cut so, and then switched to",
    )
    embedding: EmbeddingConfig | None = Field(
        None,
        title="Another space or endpoint",
        description="A space goes with scope all; the whole table is embedded so, and then switched to",
    )
    table: str | None = Field(None, title="Another table", description="None: the run's own")
    budget: BudgetConfig | None = Field(None, title="Another budget", description="None: the run's own")
    time_limit: float | None = Field(
        None,
        gt=0,
        title="Time limit",
        description="Seconds, or such as 1h30m, after which nothing more is sent; None: the run's own",
    )
    priority: Literal["schedule", "rerun", "backfill"] = Field(
        "rerun", title="Priority", description="Where runs share an endpoint's quota"
    )
    engine: Literal["auto", "inline", "ray"] = Field("auto", title="Engine")
    workers: int | None = Field(None, ge=1, title="Ray workers")

    @field_validator("time_limit", mode="before")
    @classmethod
    def _time_is_one(cls, limit: Any) -> Any:
        return seconds(limit) if isinstance(limit, str) else limit

    @model_validator(mode="after")
    def _changes_go_with_all(self) -> "RerunConfig":
        other = self.splitter or self.table or (self.embedding and self.embedding.space())
        if other and self.scope == "failed":
            raise ValueError(
                "what has failed is done as it was; another splitter, space or table needs scope all"
            )
        return self
