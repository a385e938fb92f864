"""claim: leaves out of what is sent what other runs are sending, and waits for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.cache import VectorCache
from pipeline.claims import Claim, Claims
from pipeline.ports import Advance
from pipeline.stages.context import Context
from pipeline.stages.plan import LOOKED_UP
from pipeline.staging import read_shards

_OVERTAKEN = "overtaken"
_WAITING = "wait for other runs"


@dataclass(slots=True)
class Turn:
    """What a run has to leave to others."""

    theirs: list[Claim] = field(default_factory=list)
    known: frozenset[str] = frozenset()  # text_hash: in the cache since it was looked up

    @property
    def left_out(self) -> frozenset[str]:
        """The text_hash of each text that this run does not send."""
        return self.known.union(*(claim.hashes.to_pylist() for claim in self.theirs))


@contextmanager
def claimed(context: Context, name: str, lane: str) -> Iterator[Turn]:
    """Hold the claim to the staged texts of this name; then wait for those that other runs have claimed.

    What they have paid for is in the cache then, and where they failed, nobody has it: either way the
    run's stages begin again (`overtaken`). A batch is under way for hours, which nobody is made to wait for.
    """
    if not context.job.space.remote or lane == "batch":
        yield Turn()
        return
    hashes = [shard["text_hash"] for shard in read_shards(context.staging, name)]
    ours = pa.concat_arrays([chunk for column in hashes for chunk in column.chunks]) if hashes else _NONE
    claims = Claims(context.store, context.job.space)
    with claims.held(context.job.run_id, ours) as theirs:
        turn = Turn(theirs, _paid_meanwhile(context, ours))
        del hashes, ours  # there can be millions, and the sending takes hours
        yield turn
    if turn.theirs:
        texts = len(turn.left_out)
        context.progress(Advance(_WAITING, 0, texts))
        claims.wait(turn.theirs, context.check_time)
        context.progress(Advance(_WAITING, texts, texts))
    if turn.left_out:
        context.staging.write_json(_OVERTAKEN, {"texts": len(turn.left_out)})


def overtaken(context: Context) -> bool:
    """Whether other runs have sent, or should have, some of what this one has planned."""
    return context.staging.read_json(_OVERTAKEN) is not None


_NONE = pa.array([], pa.string())


def _paid_meanwhile(context: Context, hashes: pa.Array) -> frozenset[str]:
    """What has come into the cache since the plan was made."""
    cached = VectorCache(context.store, context.job.space).open()
    if cached is None or cached.version == (context.staging.read_json(LOOKED_UP) or {}).get("version"):
        return frozenset()
    found = set[str]()
    for batch in cached.to_batches(columns=["text_hash"]):
        names = batch["text_hash"]
        found |= set(names.filter(pc.is_in(names, value_set=hashes)).to_pylist())
    return frozenset(found)
