"""embed: sends the planned texts, and takes what comes back from the spool into the cache."""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.cache import VectorCache
from pipeline.embedding import limits
from pipeline.embedding.packing import Text, pack
from pipeline.errors import ProviderRefused
from pipeline.job import Job
from pipeline.model import WAITING, Amount, DeadLetter, Outcome, Plan, Request
from pipeline.pace import Pace, seconds_left
from pipeline.ports import Advance, Engine, Sending
from pipeline.sharding import Sharded, Shards, Steps
from pipeline.spool import Spool
from pipeline.stages.claim import claimed
from pipeline.stages.context import Context
from pipeline.stages.plan import SENTENCE_TEXTS, TEXTS
from pipeline.stages.split import CHUNKS
from pipeline.staging import EXCERPT, read_shards

# Requests that wait in the spool before the sink takes them in: an append of a few is as slow as
# one of many.
_SINK_AFTER = 200
# So many texts are not all poisonous: it is the request that the endpoint will not have.
_SURELY = 50
# A request that the budget pays for one by one is sent so many times; otherwise its worker has patience.
_TIMES = 8
_SHARD = 10_000  # texts


@Sharded
def embed(context: Context, plan: Plan, engine: Engine) -> Steps[Outcome]:
    """Embed what the plan found missing; gives what it came to, in numbers.

    Requests are in flight all the while: a shard ends where so many texts more have been answered.
    Whatever stops the run, all that is in the spool goes into the cache.
    """
    amount = Amount(plan.texts, plan.tokens, plan.requests)
    total = yield from send.steps(context, engine, TEXTS, amount, plan.lane)
    context.staging.bury("embed", list(_letters(context, dict(total.rejected))))
    context.check_failures()
    return replace(total, rejected=())


@Sharded
def embed_sentences(context: Context, plan: Plan, engine: Engine) -> Steps[Outcome]:
    """Embed the sentences that the plan found missing, and nothing else of it.

    One that the provider rejects has no vector, and is no dead letter: its document can be split all the
    same, and the chunk that it is in is sent on its own account.
    """
    missing = plan.rounds[0] if plan.rounds else Amount(0, 0, 0)
    total = yield from send.steps(context, engine, SENTENCE_TEXTS, missing, plan.lane, "sentences")
    return replace(total, rejected=())


@Sharded
def send(
    context: Context, engine: Engine, name: str, amount: Amount, lane: str, stage: str = "embed"
) -> Steps[Outcome]:
    """Send the staged texts of one round but for what other runs are sending; see `claimed`."""
    shards = Shards(amount.texts, _SHARD)
    yield shards.count
    with claimed(context, name, lane) as turn:
        texts = _Texts(context, name, turn.left_out)
        amount = texts.amount() if turn.left_out else amount
        job = replace(context.job, endpoint=replace(context.job.endpoint, lane=lane))
        meter = _Meter(context, stage, amount)
        return (yield from _sent_and_kept(context, engine, job, texts, meter, shards))


def _sent_and_kept(
    context: Context, engine: Engine, job: Job, texts: "_Texts", meter: "_Meter", shards: Shards
) -> Steps[Outcome]:
    """Send texts, and take their vectors into the cache.

    Raises OverBudget before a request that could pass the budget, and OutOfTime.
    """
    spool, cache = Spool(context.store, context.job.space), VectorCache(context.store, context.job.space)
    spending, total, finished = context.spending, Outcome(0), list[str]()
    waiting = _Waiting(pack(texts, limits(context.job.space), context.job.endpoint))
    try:
        while (first := waiting.first()) is not None:
            gone = waiting.gone
            for outcome in engine.embed(job, _granted(context, waiting)):
                if outcome is not WAITING:
                    total += replace(outcome, spooled=(), undone=())
                    finished += outcome.spooled
                    waiting.again(spending.settle(outcome), outcome.reason)
                    _check_any_goes_through(context, total, meter.amount.texts)
                if spending.flying or waiting.first():
                    context.check_time()
                meter.tell(total)
                if len(finished) >= _SINK_AFTER:
                    spool.drain(cache, finished)
                    finished = []
                    context.note_spending()
                yield from shards.passed(meter.done)
            if waiting.gone == gone:
                raise spending.refuse(first)
        yield from shards.rest()
    finally:
        spending.close(spool.find, engine.unanswered())
        context.note_spending()
        spool.drain(cache, spool.names())
        cache.compact()
    return total


class _Waiting:
    """The requests that are not sent yet; those to be sent again come last."""

    def __init__(self, fresh: Iterator[Request]) -> None:
        self._fresh = fresh
        self._back = deque[Request]()
        self._times = Counter[int]()
        self._first: Request | None = None
        self.gone = 0  # requests that were taken

    def first(self) -> Request | None:
        """The request whose turn it is; None where none is left."""
        if self._first is None:
            self._first = next(self._fresh, None) or (self._back.popleft() if self._back else None)
        return self._first

    def take(self) -> None:
        """The first has gone."""
        self._first = None
        self.gone += 1

    def again(self, request: Request | None, reason: str) -> None:
        """Take a request back. Raises ProviderRefused where that has been for nothing too often."""
        if request is None:
            return
        self._times[request.number] += 1
        if self._times[request.number] > _TIMES:
            raise ProviderRefused(
                f"gave up at a request that was sent {_TIMES} times: {reason}. What was paid is kept; "
                "run the same command again"
            )
        self._back.append(request)


def _granted(context: Context, waiting: _Waiting) -> Iterator[Request]:
    """The requests that may be sent; it ends where the next one has to wait for what is on its way."""
    while (request := waiting.first()) is not None:
        context.check_time()
        sent = context.spending.grant(request)
        if sent is None:
            return
        waiting.take()
        yield sent


def _check_any_goes_through(context: Context, total: Outcome, texts: int) -> None:
    if not total.texts and len(total.rejected) > max(_SURELY, context.allowed(texts)):
        raise ProviderRefused(
            f"the endpoint has rejected every text so far, {len(total.rejected)} of them; the last: "
            f"{total.rejected[-1][1]}. Check --embedding and --base-url; nothing was published"
        )


class _Meter:
    """Tells how far the sending has come."""

    def __init__(self, context: Context, stage: str, amount: Amount) -> None:
        self._context = context
        self._stage = stage
        self.amount = amount
        self.done = 0  # texts
        self._pace = Pace()
        self._began = context.deadline.passed
        self._before = context.spending.counted
        self.tell(Outcome(0))

    def tell(self, total: Outcome) -> None:
        spending, amount, endpoint = self._context.spending, self.amount, self._context.job.endpoint
        seconds, tokens = self._context.deadline.passed - self._began, spending.counted - self._before
        pace = self._pace
        pace.see(seconds, tokens, total.requests)
        tokens_left, requests_left = amount.tokens - tokens, amount.requests - total.requests
        sending = Sending(
            tokens=tokens,
            tokens_total=amount.tokens,
            requests=total.requests,
            requests_total=amount.requests,
            retries=total.retries,
            usd=spending.usd,
            seconds=seconds,
            tokens_a_minute=pace.tokens_a_minute,
            requests_a_minute=pace.requests_a_minute,
            tpm=endpoint.tpm,
            rpm=endpoint.rpm,
            left=seconds_left(
                max(tokens_left, 0), max(requests_left, 0), pace.tokens_a_minute, endpoint.tpm, endpoint.rpm
            ),
        )
        self.done = total.texts + len(total.rejected)
        self._context.progress(Advance(self._stage, self.done, amount.texts, sending))


@dataclass(frozen=True, slots=True)
class _Texts:
    """The staged texts of one round, without those that others send."""

    context: Context
    name: str
    left_out: frozenset[str]

    def __iter__(self) -> Iterator[Text]:
        for shard in read_shards(self.context.staging, self.name):
            columns: list[list[Any]] = [shard[name].to_pylist() for name in Text._fields]
            texts = map(Text, *columns)
            yield from (text for text in texts if text.text_hash not in self.left_out)

    def amount(self) -> Amount:
        """What they come to."""
        sizes = [text._replace(text="") for text in self]
        requests = pack(sizes, limits(self.context.job.space), self.context.job.endpoint)
        return Amount(len(sizes), sum(text.tokens for text in sizes), sum(1 for _ in requests))


def _letters(context: Context, rejected: dict[str, str]) -> Iterator[DeadLetter]:
    """A dead letter for each chunk whose text the provider rejected."""
    if not rejected:
        return
    hashes = pa.array(list(rejected), pa.string())
    for shard in read_shards(context.staging, CHUNKS):
        for row in shard.filter(pc.is_in(shard["text_hash"], value_set=hashes)).to_pylist():
            yield DeadLetter(
                row["doc_id"],
                row["uri"],
                "embed",
                rejected[row["text_hash"]],
                row["text"][:EXCERPT],
                row["text_hash"],
            )
