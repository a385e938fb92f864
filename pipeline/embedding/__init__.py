"""Embedding: providers, and the worker that sends requests to them."""

from pipeline.embedding.local import LocalProvider
from pipeline.embedding.openai import OpenAIProvider
from pipeline.errors import InputError
from pipeline.model import Endpoint, Space
from pipeline.ports import Limits, Provider

_PROVIDERS: dict[str, type[LocalProvider] | type[OpenAIProvider]] = {
    "local": LocalProvider,
    "openai": OpenAIProvider,
}


def limits(space: Space) -> Limits:
    """What the provider of a space takes in one request; known without a key."""
    return _provider(space).limits


def connect(space: Space, endpoint: Endpoint) -> Provider:
    """The provider of a space; nothing is sent before the first request.

    Raises InputError where the space cannot be made with this endpoint.
    """
    return _provider(space)(space, endpoint)


def _provider(space: Space) -> type[LocalProvider] | type[OpenAIProvider]:
    if space.provider not in _PROVIDERS:
        raise InputError(
            f"{space.name}: there is no provider {space.provider!r}; "
            f"choose one of {', '.join(sorted(_PROVIDERS))}"
        )
    return _PROVIDERS[space.provider]
