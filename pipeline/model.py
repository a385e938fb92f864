"""The values that the stages pass to one another. Plain data: all of it pickles."""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from pipeline import ids
from pipeline.job import Price

SYSTEM_VIEWS = ("runs", "dead_letters", "versions")
"""What SQL shows beside the tables, and no table can be called."""


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


class Chunk(NamedTuple):
    """A piece of a document: `document.text[start:end]`. A tuple, since those are made quickest."""

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
