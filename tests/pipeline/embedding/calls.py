"""One call of the openai provider, from a test that is not async."""

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.embedding.openai import OpenAIProvider
from pipeline.model import Endpoint, Secret, Space
from pipeline.ports import Embedded
from tests.endpoint.answers import vector

KEY = "sk-live-0123456789-the-whole-key"
SPACE = Space("openai", "text-embedding-3-small", 4)


def embed(url: str | None, texts: Sequence[str], space: Space = SPACE, **endpoint: Any) -> Embedded:
    """What the provider makes of one request to an endpoint."""
    values = {"api_key": Secret(KEY), "timeout": 10.0, **endpoint}

    async def once() -> Embedded:
        provider = OpenAIProvider(space, Endpoint(base_url=url, **values))
        try:
            return await provider.embed(texts)
        finally:
            await provider.close()

    return asyncio.run(once())


def expected(texts: Sequence[str], space: Space = SPACE) -> NDArray[np.float32]:
    """The vectors that the metered endpoint gives these texts."""
    return np.array([vector(space.model, text, space.dimensions) for text in texts])


def free_port() -> int:
    """A TCP port of this machine where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
