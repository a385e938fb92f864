"""The seams: what the stages ask for, and what others implement."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeGuard, TypeVar

from pipeline.job import Job
from pipeline.model import Chunk, DeadLetter, Document, Listed, Outcome, Request

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")

# Commands that only tell what is there start in two thirds of the time without numpy.
if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vectors = npt.NDArray[np.float32]
else:
    Vectors = Any


class Source(Protocol):
    """Where documents come from."""

    def list(self) -> Iterator[Listed | DeadLetter]:
        """List every document, in a stable order; raise InputError where the source is not there."""

    def read(self, listed: Iterable[Listed]) -> Iterator[Document | DeadLetter]:
        """Read the documents named, in the source's own order."""

    def covers(self, uri: str) -> bool:
        """Whether a document with this URI would be listed here if it still existed."""


class TokenCounter(Protocol):
    """Counts tokens as the provider of a space counts (and bills) them."""

    def count(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens of each text; never fewer than the provider does."""


class OffsetCounter(TokenCounter, Protocol):
    """A counter that also tells where tokens lie."""

    @property
    def seam(self) -> re.Pattern[str]:
        """Matches, empty, between two characters that no token holds both of, whatever is around them.

        It looks at no others. So the counts of what seams part a text into add up.
        """

    def ends(self, text: str) -> "npt.NDArray[np.uint32]":
        """Where each token ends, in characters; one that ends within a character, where that does."""

    def __hash__(self) -> int:
        """What counts of short texts are remembered by."""


def tells_offsets(counter: TokenCounter) -> TypeGuard[OffsetCounter]:
    """Whether a counter is one that does."""
    # To ask isinstance of a Protocol takes longer than to cut a short page.
    return hasattr(counter, "ends")


class Splitter(Protocol):
    """Cuts a text into chunks."""

    def split(self, text: str) -> list[Chunk]:
        """Cut a text; chunks are in order, and none is blank."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a provider accepts in one request."""

    inputs: int
    tokens: int  # a request
    tokens_an_input: int
    batch: int  # inputs a request where nobody asks for another number


@dataclass(frozen=True, slots=True)
class Stated:
    """What an endpoint's headers say of its limits; None where they do not."""

    requests_a_minute: float | None = None
    requests_left: float | None = None
    tokens_a_minute: float | None = None
    tokens_left: float | None = None


_NOTHING_STATED = Stated()


@dataclass(frozen=True, slots=True)
class Embedded:
    """A provider's answer: vectors[n, dimensions], finite and L2-normalised, and tokens billed."""

    vectors: Vectors
    tokens: int
    stated: Stated = _NOTHING_STATED


class Provider(Protocol):
    """Turns texts into vectors of one space."""

    @property
    def limits(self) -> Limits:
        """What fits into one request."""

    async def embed(self, texts: Sequence[str]) -> Embedded:
        """Embed texts in one attempt; raise Retryable, Rejected or ProviderRefused."""

    async def close(self) -> None:
        """Let go of connections."""


class Limiter(Protocol):
    """Shares an endpoint's quota between the workers that use it."""

    async def acquire(self, tokens: int) -> None:
        """Wait until a request of so many tokens may be sent."""

    def answered(self, counted: int, billed: int, stated: Stated) -> None:
        """Learn from an answer: tokens as they were counted and as they were billed, and its headers."""

    async def pause(self, seconds: float) -> None:
        """Let nobody send for a while: the endpoint asked for it."""


class Engine(Protocol):
    """Where the heavy stages do their work."""

    def embed(self, job: Job, requests: Iterable[Request]) -> Iterator[Outcome]:
        """Send every request once and spool its vectors; outcomes come in any order."""

    def unanswered(self) -> Mapping[int, int]:
        """After `embed` was ended early: tokens that may have been billed in vain, by a request's number."""

    def map(self, step: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Apply a picklable step to each item; results come in the items' order."""


EngineFactory = Callable[[int], AbstractContextManager[Engine]]
"""Opens the engine for a run that has this many texts to embed, and closes what it opened."""


class Runner(Protocol):
    """Who runs a stage: this process as it is, or an orchestrator that shows and records it."""

    def __call__(self, stage: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one stage and return its result; one that is `Sharded` may be run shard by shard."""


@dataclass(frozen=True, slots=True)
class Sending:
    """How far the sending of texts has come, and how quickly."""

    tokens: int  # finished, as the plan has counted them
    tokens_total: int
    requests: int  # finished
    requests_total: int
    retries: int
    usd: float | None  # billed by the whole run so far; None where the price is not known
    seconds: float  # since the stage began
    tokens_a_minute: float  # over the last half minute
    requests_a_minute: float
    tpm: int | None  # the quota, in tokens and in requests a minute; None where none is known
    rpm: int | None
    left: float | None  # seconds until all is sent, at this rate and no quicker than the quota; None: unknown


@dataclass(frozen=True, slots=True)
class Advance:
    """How far a stage has come."""

    stage: str
    done: int  # documents, texts or shards
    total: int | None  # None where it is not known yet
    sending: Sending | None = None  # of a stage that sends texts


class Progress(Protocol):
    """Hears how far a run has come."""

    def __call__(self, advance: Advance, /) -> None:
        """Take how far a stage has come; it is told often, and must not take long."""


def silent(advance: Advance, /) -> None:
    """A Progress that tells nobody."""


def run_here(stage: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    """A Runner that calls the stage in this process."""
    return stage(*args, **kwargs)
