"""Any endpoint that speaks OpenAI's embeddings protocol, through the openai SDK."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import numpy as np
import numpy.typing as npt
import openai
import orjson

from pipeline.embedding.vectors import normalised
from pipeline.errors import (
    InputError,
    ProviderRefused,
    Rejected,
    RequestFailed,
    Retryable,
    Throttled,
    Unreachable,
)
from pipeline.model import Endpoint, Space
from pipeline.ports import Embedded, Limits

# https://platform.openai.com/docs/api-reference/embeddings/create
# What is in flight when a run is killed may be paid twice: hence batches far below the limit.
_LIMITS = Limits(inputs=2048, tokens=300_000, tokens_an_input=8191, batch=128)
_NATIVE_DIMENSIONS = {
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
    "text-embedding-ada-002": 1536,
}
_LOCAL_SERVERS_KEY = "none"  # the SDK insists on a key; servers on one's own machine ask for none


class OpenAIProvider:
    """Sends one request an attempt: the SDK's own retries are off."""

    limits = _LIMITS

    def __init__(self, space: Space, endpoint: Endpoint) -> None:
        if endpoint.api_key is None and endpoint.base_url is None:
            raise InputError(
                f"{space.name} needs an API key; put it into the environment variable OPENAI_API_KEY, "
                "or name another variable with --api-key-env"
            )
        native = _NATIVE_DIMENSIONS.get(space.model)
        if native and space.dimensions > native:
            raise InputError(f"{space.model} has {native} dimensions; {space.name} asks for more")
        self._space = space
        self._endpoint = endpoint
        self._where = endpoint.base_url or "OpenAI"
        # Models without Matryoshka training refuse the parameter: it is sent only where it matters.
        self._dimensions = {} if native == space.dimensions else {"dimensions": space.dimensions}
        self._client = openai.AsyncOpenAI(
            api_key=endpoint.api_key or _LOCAL_SERVERS_KEY,
            base_url=endpoint.base_url,
            timeout=endpoint.timeout,
            max_retries=0,
            http_client=openai.DefaultAioHttpClient(),
        )

    async def embed(self, texts: Sequence[str]) -> Embedded:
        """Embed texts in one request."""
        prefix = self._space.document_prefix
        try:
            response = await self._client.embeddings.with_raw_response.create(
                model=self._space.model,
                input=[prefix + text for text in texts],
                encoding_format="base64",
                extra_body=self._dimensions,
            )
            body = response.content
        except (openai.OpenAIError, aiohttp.ClientError, TimeoutError) as error:
            raise self._translated(error) from None
        return self._read(body, len(texts))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _read(self, body: bytes, texts: int) -> Embedded:
        """Decode an answer; anything unexpected in it is a Retryable."""
        try:
            answer = orjson.loads(body)
            data = answer["data"]
            order = [item["index"] for item in data]
            rows = [_vector(item["embedding"]) for item in data]
            tokens = int(answer.get("usage", {}).get("total_tokens", 0))
            if sorted(order) != list(range(texts)):
                raise ValueError(f"it answers {len(data)} of {texts} inputs")
            matrix = np.empty((texts, len(rows[0])), dtype=np.float32)
            for index, row in zip(order, rows, strict=True):
                matrix[index] = row
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, binascii.Error) as error:
            raise Retryable(f"the answer is unusable: {error}", perhaps_billed=True) from None
        return Embedded(normalised(matrix, texts, self._space.dimensions), tokens)

    def _translated(self, error: Exception) -> RequestFailed | ProviderRefused:
        """Our own error for each that the SDK, or the transport beneath it, raises.

        The transport reports resets, refused connections and time-outs all as time-outs; only the
        root cause tells them apart.
        """
        if isinstance(error, openai.APIStatusError):
            return self._refused(error)
        cause = _root(error)
        said = self._scrubbed(str(cause)) or type(cause).__name__
        if isinstance(cause, aiohttp.ClientConnectorError):
            return Unreachable(f"no connection to {self._where}: {said}")
        if isinstance(cause, TimeoutError):
            return Retryable(
                f"{self._where} did not answer in {self._endpoint.timeout:g} s", perhaps_billed=True
            )
        return Retryable(f"{self._where} broke off or gave no usable answer: {said}", perhaps_billed=True)

    def _refused(self, error: openai.APIStatusError) -> RequestFailed | ProviderRefused:
        status, said, where = error.status_code, self._scrubbed(error.message), self._where
        if status in (401, 403):
            return ProviderRefused(
                f"{where} refuses the key ({status}); check it and the model {self._space.model}"
            )
        if status == 404:
            return ProviderRefused(f"{where} knows no model {self._space.model!r} (404): {said}")
        if status == 429 and error.code == "insufficient_quota":
            return ProviderRefused(f"the quota of this key at {where} is used up; raise it, then run again")
        if status == 429:
            return Throttled(
                f"{where} limits the rate (429)", retry_after=_retry_after(error.response.headers)
            )
        if status in (400, 413, 422):
            return Rejected(f"{where} rejects the input ({status}): {said}")
        if status == 408 or status == 409 or status >= 500:
            return Retryable(f"{where} answers {status}", retry_after=_retry_after(error.response.headers))
        return ProviderRefused(f"{where} answers {status}: {said}")

    def _scrubbed(self, message: str) -> str:
        """The endpoint's own words without the key, shortened."""
        key = self._endpoint.api_key
        return (message.replace(key, "***") if key else message)[:300]


def _root(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _vector(value: Any) -> npt.NDArray[np.float32]:
    """One embedding: base64 of little-endian float32, or a list from servers that ignore the format."""
    if isinstance(value, str):
        return np.frombuffer(base64.b64decode(value, validate=True), dtype="<f4")
    return np.asarray(value, dtype=np.float32)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the endpoint asks to wait: `retry-after-ms` is the finer of the two headers."""
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) / scale)
        except (KeyError, ValueError):
            continue
    return None
