"""What a run is told: the job, and what it is made of. Data only: all of it pickles."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pipeline.errors import InputError
from pipeline.space import Space
from pipeline.splitter_spec import SplitterSpec


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """Where documents come from."""

    kind: str  # "files", "rows", or "table": what the run's table holds
    uri: str  # a folder, a file or a glob; a table's name
    glob: str | None = None  # restricts a folder; None takes every kind of file the source reads
    text: str | None = None  # rows: a column, or a template such as "Title: {title}"
    id: str | None = None  # rows: the column that identifies a row
    markup: bool = False  # files: HTML as it stands, rather than the text that it shows
    where: str | None = None  # table: SQL over its columns; documents with such a chunk are meant


class Secret(str):
    """A credential: usable as a string, but never shown."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret('***')"


LANES = ("ordinary", "batch", "auto")
"""How texts may travel to an endpoint."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How to reach the provider of a space, and how much of it this run may use."""

    base_url: str | None = None  # None: the provider's own
    api_key: Secret | None = None
    rpm: int | None = None  # requests a minute; None: no budget known
    tpm: int | None = None  # tokens a minute
    max_in_flight: int | None = None  # requests at once, over all workers; None: as many as go well
    batch_inputs: int | None = None  # inputs a request; None: the provider's own choice
    timeout: float = 60.0  # seconds an attempt may take
    patience: float = 180.0  # seconds a request may take with all its retries
    lane: str = "ordinary"  # "ordinary", "batch" (half the price, within a day), or "auto": by the deadline
    deadline: float | None = None  # hours that embedding may take; "auto" chooses by it
    enqueued_tokens: int | None = None  # in batches at once; None: until the provider says that it is full
    threads: int | None = None  # cores that a model on this machine may use in this process; None: all

    def __post_init__(self) -> None:
        if self.lane not in LANES:
            raise InputError(f"there is no lane {self.lane!r}; choose one of {', '.join(LANES)}")
        if self.deadline is not None and not 0 <= self.deadline < math.inf:
            raise InputError(f"the deadline is {self.deadline} hours; it is 0 or more")
        for name in ("rpm", "tpm", "max_in_flight", "batch_inputs", "enqueued_tokens", "threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} is {value}; it must be at least 1")


@dataclass(frozen=True, slots=True)
class Price:
    """What a model's tokens cost."""

    usd: float  # a million tokens
    source: str  # who says so: a URL, or where the user does
    as_of: str = ""  # the day on which the source said so; "" where the user does

    def __post_init__(self) -> None:
        if not 0 <= self.usd < math.inf:
            raise InputError(f"a price of {self.usd} USD a million tokens is none; it is 0 or more")


@dataclass(frozen=True, slots=True)
class Budget:
    """What a run may spend, in money, tokens and time, and how much may fail."""

    usd: float | None = None
    tokens: int | None = None
    failures: float = 0.01  # share of the listed documents, rounded up; 0 allows none
    seconds: float | None = None  # from the run's start, after which it sends nothing more

    def __post_init__(self) -> None:
        if not 0 <= self.failures <= 1:
            raise InputError(f"the failure budget is {self.failures}; it is a share between 0 and 1")
        for name in ("usd", "tokens", "seconds"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise InputError(f"the budget of {name} is {value}; it is 0 or more")


@dataclass(frozen=True, slots=True)
class Canary:
    """A question whose answer is known: a table that does not find it is not published."""

    query: str
    doc_ids: tuple[str, ...]  # of the documents that have to be found, all of them
    top_k: int = 10  # among the first so many chunks

    def __post_init__(self) -> None:
        object.__setattr__(self, "doc_ids", tuple(self.doc_ids))  # JSON knows lists only


@dataclass(frozen=True, slots=True)
class Quality:
    """Questions whose answers are known, and how well a table has to rank these by vectors."""

    queries: str  # a file of query_id and text
    qrels: str  # a file of query_id, doc_id and relevance
    at_least: float  # nDCG@10, over all questions

    def __post_init__(self) -> None:
        if not 0 <= self.at_least <= 1:
            raise InputError(f"at_least is {self.at_least}; nDCG is between 0 and 1")


@dataclass(frozen=True, slots=True)
class Gate:
    """What is asked of a run's result before it is published, beside what is always checked."""

    canaries: tuple[Canary, ...] = ()
    sample: int = 0  # chunks that are embedded once more, and have to come back alike
    quality: Quality | None = None

    def __post_init__(self) -> None:
        if isinstance(self.quality, Mapping):
            object.__setattr__(self, "quality", Quality(**self.quality))
        made = (one if isinstance(one, Canary) else Canary(**one) for one in self.canaries)
        object.__setattr__(self, "canaries", tuple(made))


PART = 50_000
"""Chunks of the live version that a backfill does in one part, about."""


@dataclass(frozen=True, slots=True)
class Window:
    """Some of the documents that have changed, in the order of their ids."""

    after: str  # doc_id; "" begins with the first
    most: int  # documents


@dataclass(frozen=True, slots=True)
class Job:
    """Everything a run needs to know. Data only: every stage rebuilds its own handles from it."""

    run_id: str
    store: str  # URI of the store
    table: str
    source: SourceSpec
    splitter: SplitterSpec
    space: Space
    endpoint: Endpoint = field(default_factory=Endpoint)
    budget: Budget = field(default_factory=Budget)
    delete_missing: bool = True
    pipeline: str | None = None  # its name in vecmill.toml; None for a source given in place
    price: Price | None = None  # in place of the price list's
    only: tuple[str, ...] | None = None  # doc_id of each to do over, changed or not; None: what has changed
    gate: Gate = field(default_factory=Gate)
    priority: str = "schedule"  # "schedule", "rerun" or "backfill": who uses an endpoint's quota first
    everything: bool = False  # do all documents over that are listed, changed or not
    generation: str | None = None  # to fill beside the live one, out of what that holds; None: the live one
    window: Window | None = None  # the part of the changes that is meant; None: all of them
    rerun_of: str | None = None  # run_id of the run that this one takes up, or repeats

    @property
    def kind(self) -> str:
        """What the run is called in the ledger."""
        if self.rerun_of:
            return "rerun"
        if self.generation:
            return "backfill"
        return "ingest" if self.only is None else "replay"

    @property
    def does_over(self) -> bool:
        """Whether documents are done over, changed or not."""
        return self.everything or self.only is not None

    def record(self) -> dict[str, Any]:
        """The job as JSON for the run ledger, its key left out."""
        return asdict(replace(self, endpoint=replace(self.endpoint, api_key=None)))

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Job":
        """The job of a record; it has no key."""
        parts: dict[str, Callable[..., Any]] = {
            "source": SourceSpec,
            "splitter": SplitterSpec,
            "space": Space,
            "endpoint": Endpoint,
            "budget": Budget,
            "gate": Gate,
        }
        price, only, window = record.get("price"), record.get("only"), record.get("window")
        made = {name: part(**record[name]) for name, part in parts.items()}
        own = {
            "price": price and Price(**price),
            "only": None if only is None else tuple(only),
            "window": window and Window(**window),
        }
        return cls(**{**record, **made, **own})
