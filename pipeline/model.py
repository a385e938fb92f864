"""The values that the stages pass to one another. Plain data: all of it pickles."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pipeline import ids
from pipeline.errors import InputError
from pipeline.splitter_spec import SplitterSpec


@dataclass(frozen=True, slots=True)
class Document:
    """One source text."""

    doc_id: str  # stable within its source
    uri: str  # where a person finds it
    token: str  # the source's cheap change token
    text: str
    metadata: str = "{}"  # JSON object

    @property
    def content_hash(self) -> str:
        """Hash of all that reaches the table: the text and the metadata."""
        return ids.digest(self.text, self.metadata)


@dataclass(frozen=True, slots=True)
class Listed:
    """A document as its source lists it, unread."""

    doc_id: str
    uri: str
    token: str  # differs whenever the content may differ


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document: `document.text[start:end]`."""

    start: int  # characters
    end: int  # characters
    tokens: int  # of the embedded text
    heading_path: tuple[str, ...] = ()
    prefix: str = ""  # put before the text when it is embedded, never stored with it

    def embedded(self, text: str) -> str:
        """What is embedded for this chunk of `text`."""
        return self.prefix + text[self.start : self.end]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An input that could not be embedded, kept until it is replayed or dismissed."""

    doc_id: str
    uri: str
    stage: str  # "list", "split" or "embed"
    reason: str
    excerpt: str = ""  # up to 200 characters of the input
    text_hash: str = ""  # set where one chunk's text is to blame

    @property
    def id(self) -> str:
        """Identify the letter by what failed, so that a repeated failure is the same letter."""
        return ids.digest(self.doc_id, self.uri, self.stage, self.text_hash)


HERE = ("local", "onnx", "sentence-transformers")
"""The providers that are models on this machine."""

_ADAPTER = re.compile("[0-9a-f]{12}")

POOLINGS = ("mean", "cls", "last", "none")
"""How the vectors of tokens become that of a text; "none": the model has done it."""


@dataclass(frozen=True, slots=True)
class Space:
    """An embedding space: everything that makes two vectors comparable."""

    provider: str
    model: str
    dimensions: int
    document_prefix: str = ""
    query_prefix: str = ""
    normalised: bool = True
    pooling: str = ""  # onnx: one of POOLINGS; "" where the graph does it
    matryoshka: bool = False  # whether the model's vectors are cut to fewer dimensions
    weights: str = ""  # a hash of what is in a model's folder: another model has another space
    adapter: str = ""  # a hash of the matrix that turns the model's vectors; "" where none does
    folder: str = field(default="", compare=False)  # where the model is on this machine

    @property
    def name(self) -> str:
        """The space as people write it: provider/model@dimensions, and +adapter where it has one."""
        turned = f"+{self.adapter}" if self.adapter else ""
        return f"{self.provider}/{self.model}@{self.dimensions}{turned}"

    @property
    def base(self) -> "Space":
        """The space of the model's own vectors: what is paid for, and kept in the cache."""
        return replace(self, adapter="") if self.adapter else self

    @property
    def remote(self) -> bool:
        """Whether texts are sent to an endpoint, which limits and bills."""
        return self.provider not in HERE

    @property
    def fingerprint(self) -> str:
        """Names the space, wherever its model lies: vectors of two fingerprints are never compared."""
        values = {name: value for name, value in asdict(self).items() if name != "folder"}
        return ids.fingerprint({name: value for name, value in values.items() if name != "adapter" or value})

    @classmethod
    def parse(cls, name: str) -> "Space":
        """Read `provider/model@dimensions` or `…+adapter`; the model may itself contain slashes."""
        provider, slash, rest = name.partition("/")
        model, at, size = rest.rpartition("@")
        dimensions, plus, adapter = size.partition("+")
        if not (
            provider
            and slash
            and model
            and at
            and dimensions.isascii()
            and dimensions.isdecimal()
            and int(dimensions)
            and (not plus or _ADAPTER.fullmatch(adapter))
        ):
            raise InputError(
                f"{name!r} is no embedding space; write provider/model@dimensions, "
                "for example local/wordllama@256 or openai/text-embedding-3-small@1536"
            )
        return cls(provider, model, int(dimensions), adapter=adapter)


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


@dataclass(frozen=True, slots=True)
class DocumentCounts:
    """Documents by what the run found out about them."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    deleted: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class ChunkCounts:
    """Chunks by what a publish did with them; `dead` ones have no vector."""

    inserted: int = 0
    unchanged: int = 0
    deleted: int = 0
    dead: int = 0


@dataclass(frozen=True, slots=True)
class Amount:
    """So much to embed."""

    texts: int
    tokens: int
    requests: int

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.texts + other.texts, self.tokens + other.tokens, self.requests + other.requests)


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to be embedded, and what that costs; exact before anything is paid.

    But for the semantic splitter while vectors of sentences are missing: which chunks there will be is not
    known then, and what is to be embedded, and costs, is what it can come to at most.
    """

    documents: DocumentCounts
    chunks: ChunkCounts  # not known, and all 0, where there are `rounds`
    texts: int  # distinct texts to embed
    tokens: int  # of those texts
    requests: int
    cache_hits: int  # distinct texts whose vectors are known already
    cost_usd: float | None  # None where the model's price is not known
    seconds_at_quota: float | None  # None where no quota is known
    over_budget: bool
    rounds: tuple[Amount, Amount] | None = None  # where not all is known: of sentences, and of chunks at most
    price: Price | None = None  # that the cost is told from
    lane: str = "ordinary"  # or "batch"
    hours_at_most: int | None = None  # that the batch lane takes; None for the ordinary one

    def record(self) -> dict[str, Any]:
        """The plan as JSON; `rounds` is there where the plan is not exact, and counts of chunks are null."""
        chunks = asdict(self.chunks)
        values = {
            "documents": asdict(self.documents),
            "chunks": dict.fromkeys(chunks) if self.rounds else chunks,
            "to_embed": {"texts": self.texts, "tokens": self.tokens, "requests": self.requests},
            "cache_hits": self.cache_hits,
            "cost_usd": self.cost_usd,
            "lane": self.lane,
            "hours_at_most": self.hours_at_most,
            "seconds_at_quota": self.seconds_at_quota,
            "over_budget": self.over_budget,
            "price": asdict(self.price) if self.price else None,
        }
        if self.rounds:
            exactly, at_most = map(asdict, self.rounds)
            values["rounds"] = {"sentences": exactly, "chunks_at_most": at_most}
        return values


@dataclass(frozen=True, slots=True)
class Request:
    """One request to a provider: texts that travel together."""

    number: int
    texts: tuple[str, ...]
    hashes: tuple[str, ...]  # text_hash of each text
    tokens: int
    attempts: int | None = None  # that may be billed, at most; None: as many as it takes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request."""

    number: int
    texts: int = 0  # embedded
    tokens: int = 0  # as the provider billed them
    batch_tokens: int = 0  # those of them that came by batch, at half the price
    requests: int = 0  # answered with vectors
    retries: int = 0
    paid_again: int = 0  # texts sent again after an attempt that may have been billed
    unanswered: int = 0  # tokens of attempts that may have been billed, and brought no vectors
    rejected: tuple[tuple[str, str], ...] = ()  # (text_hash, reason)
    undone: tuple[str, ...] = ()  # text_hash of each that its request's attempts were not enough for
    reason: str = ""  # of the latest that is undone
    spooled: tuple[str, ...] = ()  # names of the files that hold the vectors

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(
            self.number,
            self.texts + other.texts,
            self.tokens + other.tokens,
            self.batch_tokens + other.batch_tokens,
            self.requests + other.requests,
            self.retries + other.retries,
            self.paid_again + other.paid_again,
            self.unanswered + other.unanswered,
            self.rejected + other.rejected,
            self.undone + other.undone,
            other.reason or self.reason,
            self.spooled + other.spooled,
        )


WAITING = Outcome(-1)
"""What an engine gives now and then while nothing is finished, so that its caller can look at the clock."""
