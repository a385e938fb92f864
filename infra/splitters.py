"""Splitters outside of runs: made from forms, and fed with vectors by this process."""

import asyncio
from collections.abc import Coroutine, Sequence

import numpy as np

from infra.embedding_form import DEFAULT_SPACE
from pipeline.embedding import connect, limits
from pipeline.errors import Rejected, UsageError
from pipeline.job import Endpoint
from pipeline.local_models import identified
from pipeline.ports import Provider, Splitter, Vectors
from pipeline.space import Space
from pipeline.splitter_spec import SplitterSpec
from pipeline.splitting import make
from pipeline.splitting.semantic import Embed, SemanticSplitter
from pipeline.tokens import counter_for


def named_space(name: str) -> Space:
    """The space of a name; raises InputError where there is no such space."""
    space = identified(Space.parse(name))
    limits(space)
    if space.provider == "local":
        connect(space, Endpoint())
    return space


def make_splitter(spec: SplitterSpec, space: Space) -> Splitter:
    """A splitter that counts as a space does.

    Raises UsageError where it needs vectors that would have to be paid for.
    """
    counter = counter_for(space)
    if spec.kind != "semantic":
        return make(spec, counter)
    return SemanticSplitter(spec, counter, make_embed(space, "the semantic splitter"))


def make_embed(space: Space, purpose: str) -> Embed:
    """What embeds texts in this process, for a space that costs nothing.

    Raises UsageError for another, naming the purpose.
    """
    if space.remote:
        raise UsageError(
            f"{purpose} needs vectors, and those of {space.name} must be paid for. vecmill ingest pays for "
            f"each once, within a budget; here, name a local space, such as {DEFAULT_SPACE.name}"
        )
    provider = connect(space, Endpoint())
    most = provider.limits.inputs

    def embed(texts: Sequence[str]) -> Vectors:
        """The vectors[n, d] of texts; zeros for those that have none."""
        none = np.zeros(space.dimensions, np.float32)
        batches = (texts[at : at + most] for at in range(0, len(texts), most))
        found = [_finished(_vectors(provider, batch, none)) for batch in batches]
        return np.concatenate([none[None][:0], *found])

    return embed


async def _vectors(provider: Provider, texts: Sequence[str], none: Vectors) -> Vectors:
    try:
        return (await provider.embed(texts)).vectors
    except Rejected:
        if len(texts) == 1:
            return none[None]
    middle = len(texts) // 2
    halves = texts[:middle], texts[middle:]
    return np.concatenate([await _vectors(provider, half, none) for half in halves])


def _finished(answer: Coroutine[object, object, Vectors]) -> Vectors:
    """Wait for an answer; `asyncio.run` would take over Ctrl-C each time, which takes longer than it all."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(answer)
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
