"""Providers are found by name."""

import asyncio

import pytest

from pipeline.embedding import connect, limits
from pipeline.embedding.local import LocalProvider
from pipeline.embedding.openai import OpenAIProvider
from pipeline.errors import InputError
from pipeline.job import Endpoint, Secret
from pipeline.space import Space


def test_a_space_names_its_provider() -> None:
    async def check() -> None:
        local = connect(Space("local", "wordllama", 64), Endpoint())
        remote = connect(Space("openai", "any", 64), Endpoint(api_key=Secret("sk-test")))
        assert (type(local), type(remote)) == (LocalProvider, OpenAIProvider)
        await local.close()
        await remote.close()

    asyncio.run(check())


def test_limits_are_known_without_a_key() -> None:
    found = limits(Space("openai", "text-embedding-3-small", 64))
    assert (found.inputs, found.tokens, found.tokens_an_input) == (2048, 300_000, 8191)
    assert found.batch <= found.inputs


@pytest.mark.parametrize("name", ["Local/wordllama@64", "cohere/embed-v4@1024"])
def test_an_unknown_provider_is_refused_with_the_list_of_those_there_are(name: str) -> None:
    for ask in (limits, lambda space: connect(space, Endpoint())):
        known = "local, onnx, openai, sentence-transformers"
        with pytest.raises(InputError, match=f"^{name}: there is no provider .*; choose one of {known}$"):
            ask(Space.parse(name))
