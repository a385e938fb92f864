"""Checks of the setup: what is there, and what to mend."""

import asyncio
import importlib.metadata
import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import TYPE_CHECKING, cast

import httpx

from infra.config import Config
from infra.embedding_form import EmbeddingConfig
from infra.settings import read_environment, read_secret
from pipeline import wordllama
from pipeline.embedding import connect
from pipeline.errors import InputError, VecmillError
from pipeline.job import Endpoint
from pipeline.local_models import NEEDS, identified
from pipeline.objects import Objects, is_remote, resolved
from pipeline.place import Place
from pipeline.space import Space
from pipeline.splitting import windows

if TYPE_CHECKING:
    from pipeline.embedding.resident import ResidentProvider

_PACKAGES = ("pylance", "duckdb", "pyarrow", "prefect", "ray", "openai")
_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    check: str
    ok: bool
    found: str
    mend: str = ""


def examine(config: Config) -> list[Finding]:
    """Run every check; none of them costs money or changes what is stored."""
    checks: list[tuple[str, Callable[[], str]]] = [
        ("python", lambda: sys.version.split()[0]),
        *((package, partial(importlib.metadata.version, package)) for package in _PACKAGES),
        ("embedded model", _embedded_model),
        ("splitters", _splitters),
        ("store", lambda: _store(config.store.uri)),
        ("prefect server", _prefect_server),
        (
            "ray cluster",
            lambda: read_environment().ray_address or "none named: one is started when it is needed",
        ),
    ]
    for name, pipeline in config.pipelines.items():
        if pipeline.embedding.provider in NEEDS:
            checks.append((f"model of {name}", partial(_model, pipeline.embedding)))
        if pipeline.embedding.provider == "openai":
            variable = pipeline.embedding.api_key_env
            url = pipeline.embedding.base_url or read_environment().openai_base_url
            checks.append((f"key of {name}", partial(_key, variable, url)))
    return [_finding(name, check) for name, check in checks]


def _finding(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, check())
    except VecmillError as error:
        return Finding(name, False, "not usable", str(error))
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, False, "missing", "install vecmill again: uv sync")


def _embedded_model() -> str:
    wordllama.tokenizer()
    rows, columns = wordllama.weights().shape
    return f"{rows:,} tokens, {columns} dimensions"


def _splitters() -> str:
    compiled = windows.__file__.endswith(tuple(EXTENSION_SUFFIXES))
    return "compiled" if compiled else "not compiled, and slower: install vecmill again where a C compiler is"


def _model(embedding: EmbeddingConfig) -> str:
    """Load the model, and try it."""
    space = identified(cast("Space", embedding.space()))  # where a form names a provider, it names a space
    provider = cast("ResidentProvider", connect(space, Endpoint()))
    asyncio.run(provider.close())
    longest = provider.limits.tokens_an_input
    return f"{space.name} ({space.weights}) runs on {provider.device}, with up to {longest} tokens a text"


def _store(uri: str) -> str:
    """Write, write again only if absent, and read: what the publish log leans on."""
    if not is_remote(uri) and Path(resolved(uri)).is_file():
        raise InputError(f"{uri} is a file, where a folder is needed; name another --store")
    try:
        objects = Objects(uri)
    except InputError:
        return f"none at {uri} yet: the first ingest makes it"
    probe = f"doctor/{secrets.token_hex(8)}"
    try:
        if not objects.create(probe, b"1") or objects.create(probe, b"2") or objects.get(probe) != b"1":
            raise InputError(
                f"{uri} ignores conditional writes: concurrent publishes would overwrite each other"
            )
    finally:
        objects.delete(probe)
    endpoint = Place.of(uri).endpoint_url
    return f"{objects.uri}{f' at {endpoint}' if endpoint else ''}: writable, conditional writes work"


def _prefect_server() -> str:
    url = read_environment().prefect_api_url
    if url is None:
        return "none named: runs happen in the process that starts them"
    try:
        answer = httpx.get(f"{url.rstrip('/')}/health", timeout=_SECONDS)
        answer.raise_for_status()
        return f"{url} answers"
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise InputError(
            f"PREFECT_API_URL is {url}, which does not answer: {error}; start it, or unset it"
        ) from error


def _key(variable: str, base_url: str | None) -> str:
    if read_secret(variable) is None and base_url is None:
        raise InputError(f"{variable} is not set; set it, or name another with api_key_env")
    return (
        f"{variable} is set"
        if read_secret(variable)
        else f"{variable} is not set; {base_url} may not need one"
    )
