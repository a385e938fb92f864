"""The form of an evaluation: which table is asked what, and what it may have drifted from."""

from pydantic import Field, model_validator

from infra.form import Form


class DriftConfig(Form):
    """An earlier version, from which what is embedded may differ by chance alone."""

    before: str | None = Field(
        None,
        title="Version to compare with",
        description="Its number, its name, or a time at which it was live",
    )
    days: float = Field(
        7.0,
        gt=0,
        title="Else the one that was live so many days ago",
        description="Or the first of the space",
    )
    p: float = Field(0.001, ge=0, le=1, title="An alarm is at most so likely by chance")
    effect: float = Field(0.01, ge=0, le=1, title="And differs at least so much, of 1")


class EvaluateConfig(Form):
    """Which tables are asked which questions."""

    table: str = Field(min_length=1, title="Table", description="docs, or a version of it: docs@3")
    queries: str | None = Field(None, title="Questions", description="A file of query_id and text")
    qrels: str | None = Field(
        None, title="What answers them", description="A file of query_id, doc_id and relevance"
    )
    pairs: str | None = Field(
        None, title="Sentence pairs", description="A file of sentence1, sentence2 and score"
    )
    threshold: float | None = Field(
        None, ge=-1, le=1, title="Cosine from which on a pair is alike", description="None: chosen by half"
    )
    against: tuple[str, ...] = Field((), title="Tables or versions to compare with")
    modes: tuple[str, ...] = Field(("vector", "text", "hybrid"), min_length=1, title="Modes")
    dimensions: tuple[int, ...] = Field((), title="Beginnings of the vectors to compare, too")
    top_k: int = Field(10, ge=1, title="Documents of a ranking that count")
    at_least: float | None = Field(
        None, ge=0, le=1, title="nDCG that the table's best mode has to reach", description="Else it fails"
    )
    drift: DriftConfig | None = Field(None, description="None: nothing is compared with an earlier version")

    @model_validator(mode="after")
    def _asks_something(self) -> "EvaluateConfig":
        if (self.queries is None) != (self.qrels is None):
            raise ValueError("`queries` and `qrels` go together: questions, and what answers them")
        if self.queries is None and self.pairs is None and self.drift is None:
            raise ValueError("give `queries` and `qrels`, or `pairs` of sentences, or `drift`")
        if self.at_least is not None and self.queries is None:
            raise ValueError("`at_least` is of nDCG, which needs `queries` and `qrels`")
        return self
