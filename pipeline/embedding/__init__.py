"""Embedding: providers, and the worker that sends requests to them."""

from pkgutil import resolve_name
from typing import Protocol

from pipeline.embedding import resident
from pipeline.errors import InputError
from pipeline.job import Endpoint
from pipeline.local_models import NEEDS
from pipeline.ports import Limits, Provider
from pipeline.space import Space

# Named rather than imported: the openai SDK takes most of a second, which a local run can do without.
_PROVIDERS = {
    "local": "pipeline.embedding.local:LocalProvider",
    "onnx": "pipeline.embedding.onnx:OnnxProvider",
    "openai": "pipeline.embedding.openai:OpenAIProvider",
    "sentence-transformers": "pipeline.embedding.sentence_transformers:TorchProvider",
}


class _Kind(Protocol):
    """What makes a provider."""

    limits: Limits

    def __call__(self, space: Space, endpoint: Endpoint, /) -> Provider: ...


def limits(space: Space) -> Limits:
    """What the provider of a space takes in one request; known without a key, and without loading a model."""
    if space.provider in NEEDS:
        return resident.limits(space)
    return _kind(space).limits


def connect(space: Space, endpoint: Endpoint) -> Provider:
    """The provider of a space; nothing is sent before the first request.

    Raises InputError where the space cannot be made with this endpoint.
    """
    return _kind(space)(space, endpoint)


def _kind(space: Space) -> _Kind:
    if space.provider not in _PROVIDERS:
        raise InputError(
            f"{space.name}: there is no provider {space.provider!r}; "
            f"choose one of {', '.join(sorted(_PROVIDERS))}"
        )
    kind: _Kind = resolve_name(_PROVIDERS[space.provider])
    return kind
