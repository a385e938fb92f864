"""Any endpoint that speaks OpenAI's embeddings protocol, through the openai SDK."""

import asyncio
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import aiohttp
import numpy as np
import numpy.typing as npt
import openai
import orjson
import pybase64

from pipeline.address import checked_address
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
from pipeline.job import Endpoint
from pipeline.ports import Embedded, Limits, Stated
from pipeline.space import Space

# https://platform.openai.com/docs/api-reference/embeddings/create
# What is in flight when a run is killed may be paid twice: hence batches far below the limit.
_LIMITS = Limits(inputs=2048, tokens=300_000, tokens_an_input=8191, batch=128)
_NATIVE_DIMENSIONS = {
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
    "text-embedding-ada-002": 1536,
}
_URL = "https://api.openai.com/v1"
_LOCAL_SERVERS_KEY = "none"  # the SDK insists on a key; servers on one's own machine ask for none
_CONNECT_SECONDS = 10.0

# All that the SDK, the transport beneath it and the operating system raise for a request.
_FOREIGN = (openai.OpenAIError, aiohttp.ClientError, OSError)
_JSON = {"Content-Type": "application/json", "Accept": "application/json"}
_UNSENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


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
        key = endpoint.api_key or _LOCAL_SERVERS_KEY
        if not (key.isascii() and key.isprintable()):
            raise InputError("the API key has a line break or letters that no key has; copy it once more")
        self._space = space
        self._endpoint = endpoint
        self._where = checked_address(endpoint.base_url or _URL)
        # Models without Matryoshka training refuse the parameter: it is sent only where it matters.
        self._parameters = {
            "model": space.model,
            "encoding_format": "base64",
            **({} if native == space.dimensions else {"dimensions": space.dimensions}),
        }
        # The whole attempt is timed below: the transport would begin anew with each byte that arrives.
        self._client = openai.AsyncOpenAI(
            api_key=key,
            base_url=self._where,
            timeout=openai.Timeout(None, connect=min(_CONNECT_SECONDS, endpoint.timeout)),
            max_retries=0,
            http_client=openai.DefaultAioHttpClient(),
        )

    async def embed(self, texts: Sequence[str]) -> Embedded:
        """Embed texts in one request."""
        body, headers = await self._post(texts)
        return replace(self._read(body, len(texts)), stated=_stated(headers))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _post(self, texts: Sequence[str]) -> tuple[bytes, Mapping[str, str]]:
        failure: RequestFailed | ProviderRefused
        try:
            async with asyncio.timeout(self._endpoint.timeout):
                # Not `embeddings.create`: it looks at each text by itself, which takes longer than all else.
                answer = await self._client.post(
                    "/embeddings",
                    content=orjson.dumps({**self._parameters, "input": texts}),
                    cast_to=openai.HttpxBinaryResponseContent,
                    options={"headers": _JSON},
                )
            return answer.content, answer.response.headers
        except _FOREIGN as error:
            failure = self._translated(error)
        except orjson.JSONEncodeError:
            failure = Rejected("the text has lone surrogates, which are no characters")
        # Out here, since what the SDK raises holds the request, and with it the key: our error must
        # not lead to it.
        raise failure

    def _read(self, body: bytes, texts: int) -> Embedded:
        """Decode an answer; anything unexpected in it is a Retryable."""
        try:
            answer = orjson.loads(body)
        except ValueError as error:
            reason = self._scrubbed(f"the answer is unusable: {error}")
        else:
            return self._decoded(answer, texts)
        raise Retryable(reason, perhaps_billed=True)

    def _decoded(self, answer: Any, texts: int) -> Embedded:
        """The vectors in an answer's JSON; anything unexpected in it is a Retryable."""
        try:
            data = answer["data"]
            found = {item["index"]: item["embedding"] for item in data}
            if len(data) != texts or found.keys() != set(range(texts)):
                raise ValueError(f"it has {len(data)} vectors for {texts} texts, or misnumbers them")
            matrix = _matrix([found[index] for index in range(texts)])
            tokens = int((answer.get("usage") or {}).get("total_tokens") or 0)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            reason = self._scrubbed(f"the answer is unusable: {error}")
        else:
            return Embedded(normalised(matrix, texts, self._space.dimensions), tokens)
        raise Retryable(reason, perhaps_billed=True)

    def _translated(self, error: Exception) -> RequestFailed | ProviderRefused:
        """Our own error for each that the SDK, or the transport beneath it, raises.

        The transport reports resets, refused connections and time-outs all as time-outs; only the
        causes tell them apart.
        """
        if isinstance(error, openai.APIStatusError):
            return self._refused(error)
        causes = list(_causes(error))
        for cause in causes:
            if isinstance(cause, _UNSENT):
                return Unreachable(f"no connection to {self._where}: {self._scrubbed(str(cause))}")
        if isinstance(error, TimeoutError):
            return Retryable(
                f"{self._where} did not answer in {self._endpoint.timeout:g} s", perhaps_billed=True
            )
        last = type(causes[-1]).__name__
        return Retryable(f"{self._where} broke off, or does not speak HTTP ({last})", perhaps_billed=True)

    def _refused(self, error: openai.APIStatusError) -> RequestFailed | ProviderRefused:
        status, said, where = error.status_code, self._scrubbed(error.message), self._where
        if status in (401, 403):
            key = "the key" if self._endpoint.api_key else "a request without a key (none was set)"
            return ProviderRefused(
                f"{where} refuses {key} ({status}); check it and the model {self._space.model}"
            )
        if status == 404:
            return ProviderRefused(
                f"{where} has no embeddings of {self._space.model!r} (404); check the address and the "
                f"model: {said}"
            )
        if status == 429 and "insufficient_quota" in (error.code, error.type):
            return ProviderRefused(f"the quota of this key at {where} is used up; raise it, then run again")
        asked = _retry_after(error.response.headers)
        if status == 429:
            wait = "" if asked is None else f", for {asked:g} s"
            return Throttled(f"{where} limits the rate (429){wait}", retry_after=asked)
        if status in (400, 413, 422):
            return Rejected(f"{where} rejects the input ({status}): {said}")
        if status == 408 or status == 409 or status >= 500:
            return Retryable(f"{where} answers {status}", retry_after=asked)
        return ProviderRefused(f"{where} answers {status}: {said}")

    def _scrubbed(self, message: str) -> str:
        """The endpoint's own words without the key, shortened."""
        key = self._endpoint.api_key
        return (message.replace(key, "***") if key else message)[:300]


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _matrix(values: Sequence[Any]) -> npt.NDArray[np.float32]:
    """The embeddings as rows: base64 of little-endian float32, or lists from servers that ignore the format.

    Joined or stacked rather than assigned: numpy would stretch a single number over a whole row.
    """
    if all(isinstance(value, str) for value in values):
        rows = [pybase64.b64decode(value, validate=True) for value in values]
        if len({len(row) for row in rows}) > 1:
            raise ValueError("its vectors differ in length")
        return np.frombuffer(b"".join(rows), dtype="<f4").reshape(len(rows), -1)
    with np.errstate(over="ignore"):  # beyond float32 is infinite, which is refused like any other
        return np.stack([_vector(value) for value in values])


def _vector(value: Any) -> npt.NDArray[np.float32]:
    if isinstance(value, str):
        return np.frombuffer(pybase64.b64decode(value, validate=True), dtype="<f4")
    return np.asarray(value, dtype=np.float32)


def _stated(headers: Mapping[str, str]) -> Stated:
    """What the headers say of the limits; `x-ratelimit-*` are a minute's.

    https://platform.openai.com/docs/guides/rate-limits
    """
    return Stated(
        requests_a_minute=_number(headers, "x-ratelimit-limit-requests") or None,
        requests_left=_number(headers, "x-ratelimit-remaining-requests"),
        tokens_a_minute=_number(headers, "x-ratelimit-limit-tokens") or None,
        tokens_left=_number(headers, "x-ratelimit-remaining-tokens"),
    )


def _number(headers: Mapping[str, str], name: str) -> float | None:
    """A header's number, 0 at least; None where there is none."""
    try:
        value = float(headers[name])
    except (KeyError, ValueError):
        return None
    return max(0.0, value) if math.isfinite(value) else None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the endpoint asks to wait: `retry-after-ms` is the finer of the two headers."""
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        number = _number(headers, name)
        if number is not None:
            return number / scale
    return None
