"""The form of a splitter."""

import re
from dataclasses import asdict
from typing import Any, Literal

from pydantic import (
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from infra.form import Form
from pipeline.errors import InputError
from pipeline.splitter_spec import SplitterSpec

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


class SplitterConfig(Form):
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
    langchain: bool | None = Field(
        None, title="Cut as LangChain does", description="recursive: where its behaviour is no bug; no"
    )
    separators_are_regex: bool | None = Field(
        None, title="Separators are regular expressions", description="recursive; no"
    )
    separators: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        validate_default=True,  # what goes with them is told before them
        title="Separators",
        description="recursive: from coarse to fine",
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

    @field_validator("separators")
    @classmethod
    def _separators_can_be_read(cls, value: tuple[str, ...] | None, field: ValidationInfo) -> Any:
        if not field.data.get("separators_are_regex"):
            return value
        if value is None and not field.data.get("langchain"):
            raise ValueError("there are none to read as regular expressions; give some")
        for separator in value or ():
            try:
                re.compile(separator)
            except re.error as error:
                raise ValueError(f"{separator!r} is no regular expression: {error}") from None
        return value

    @field_validator("keep_separator")
    @classmethod
    def _there_are_separators(cls, value: str | None, field: ValidationInfo) -> str | None:
        if value and field.data.get("separators", ()) is None and not field.data.get("langchain"):
            raise ValueError("says what to make of separators, and there are none; give some")
        return value

    @model_validator(mode="after")
    def _spec_can_be_made(self) -> "SplitterConfig":
        try:
            self.spec()
        except InputError as error:
            raise ValueError(str(error)) from error
        return self

    @classmethod
    def of(cls, spec: SplitterSpec) -> "SplitterConfig":
        """The form that means a spec."""
        usual = asdict(_USUAL)
        values = {name: value for name, value in asdict(spec).items() if value != usual[name]}
        if spec.max_characters is not None:
            values.pop("max_tokens", None)
        return cls(
            **{
                "kind": spec.kind,
                **{
                    name: one for name, one in values.items() if spec.kind in KINDS_OF.get(name, (spec.kind,))
                },
            }
        )

    def spec(self) -> SplitterSpec:
        """The spec that the form means."""
        values = self.model_dump(exclude_none=True)
        return SplitterSpec(**{"prefix_headings": self.kind in KINDS_OF["prefix_headings"], **values})
