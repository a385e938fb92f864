"""The form of an embedding space, and of how its endpoint is used."""

from contextlib import suppress
from typing import Any, Literal

from pydantic import (
    Field,
    field_validator,
    model_validator,
)

from infra.form import Form, seconds
from pipeline.address import checked_address
from pipeline.errors import InputError
from pipeline.space import Space

DEFAULT_SPACE = Space("local", "wordllama", 256)


class EmbeddingConfig(Form):
    """The embedding space, and how its endpoint is used."""

    provider: Literal["local", "onnx", "openai", "sentence-transformers"] | None = Field(
        None, title="Provider", description=f"None: the table's own, or {DEFAULT_SPACE.name}"
    )
    model: str | None = Field(None, title="Model")
    dimensions: int | None = Field(None, ge=1, title="Dimensions")
    adapter: str = Field(
        "", title="Adapter", description="That vecmill tune has made", pattern="^([0-9a-f]{12})?$"
    )
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
            return seconds(deadline) / 3600
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
            adapter=self.adapter,
        )
