"""The request side of the protocol: what is accepted, how it is counted, and the shape of a refusal."""

import importlib
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import orjson
from aiohttp import web

Unit = Literal["tokens", "characters"]
CountText = Callable[[str], int]


class WireError(Exception):
    """A request is answered with an error, in the shape that OpenAI gives its errors."""

    def __init__(
        self,
        status: int,  # HTTP status
        message: str,
        *,
        kind: str = "invalid_request_error",  # the error's `type`
        param: str | None = None,  # which parameter is at fault
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error = {"message": message, "type": kind, "param": param, "code": code}
        self.headers = dict(headers or {})

    def response(self) -> web.Response:
        """The answer to send."""
        return web.Response(
            status=self.status,
            body=orjson.dumps({"error": self.error}),
            content_type="application/json",
            headers=self.headers,
        )


@dataclass(frozen=True, slots=True)
class Bounds:
    """How large a request may be; past any of them it is answered 400. The defaults are OpenAI's."""

    inputs: int = 2048  # texts a request
    request_tokens: int = 300_000  # tokens a request, in the endpoint's unit of count
    input_tokens: int = 8192  # tokens a text, in the endpoint's unit of count

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 1:
                raise ValueError(f"Bounds.{name} is {getattr(self, name)}; it must be 1 or more")


@dataclass(frozen=True, slots=True)
class Call:
    """One well-formed request."""

    model: str  # as the client named it
    texts: tuple[str, ...]  # at least one, none empty
    tokens: tuple[int, ...]  # of each text, in the endpoint's unit of count
    dimensions: int  # floats a vector, as asked or the model's own
    base64: bool  # whether vectors were asked for as base64 rather than as lists of floats


def native_dimensions(model: str) -> int:
    """Floats a vector of this model has unless fewer are asked for; unknown models are like the small one."""
    return 3072 if model == "text-embedding-3-large" else 1536


@cache
def counter(unit: Unit) -> CountText:
    """The function that counts a text; the first one for tokens takes about a second to load."""
    if unit == "characters":
        return len
    # Imported by name: the package carries no types, and whoever counts characters need not load it.
    encoding: Any = importlib.import_module("bpe_openai").get_encoding("cl100k_base")

    def count(text: str) -> int:
        try:
            return len(encoding.encode_ordinary(text))
        except ValueError as error:
            # The tokenizer refuses 200,000 tokens, whose count it tells, and a million characters, which no
            # bound admits: there the length stands in for a count that nobody will be billed.
            return int(getattr(error, "token_count", len(text)))

    return count


def authorize(header: str | None, key: str | None) -> None:
    """Raises a 401 unless the Authorization header bears the key; with no key configured anyone may call."""
    if key is None or header == f"Bearer {key}":
        return
    scheme, _, given = (header or "").partition(" ")
    if scheme != "Bearer" or not given:
        message = "No API key was given. Send it in the Authorization header, as Bearer KEY."
    else:
        message = f"Incorrect API key provided: {masked(given)}. Check it in the account's settings."
    raise WireError(401, message, code="invalid_api_key")


def masked(key: str) -> str:
    """The key with its middle starred out: the service's error message repeats part of what it was given."""
    head, tail = min(8, len(key) // 4), min(4, len(key) // 4)
    return key[:head] + "*" * (len(key) - head - tail) + key[len(key) - tail :]


def parse_call(body: bytes, bounds: Bounds, count: CountText) -> Call:
    """Reads a request's body; raises a 400 that says what is wrong with it."""
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise WireError(400, "The body of the request could not be parsed as JSON.") from error
    if not isinstance(fields, dict):
        raise WireError(400, "The body of the request must be a JSON object.")
    model = fields.get("model")
    if not isinstance(model, str) or not model:
        raise WireError(400, "A model must be named.", param="model")
    form = fields.get("encoding_format") or "float"
    if form not in ("float", "base64"):
        raise WireError(400, "'encoding_format' must be 'float' or 'base64'.", param="encoding_format")
    dimensions = _dimensions(fields.get("dimensions"), native_dimensions(model))
    texts = _texts(fields.get("input"), bounds)
    tokens = tuple(map(count, texts))
    _check_tokens(tokens, bounds)
    return Call(model, texts, tokens, dimensions, form == "base64")


def _dimensions(asked: object, native: int) -> int:
    if asked is None:
        return native
    # A bool is an int to isinstance, and not to the service.
    if type(asked) is not int or not 1 <= asked <= native:
        raise WireError(400, f"'dimensions' must be an integer from 1 to {native}.", param="dimensions")
    return asked


def _texts(given: object, bounds: Bounds) -> tuple[str, ...]:
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(text, str) and text for text in texts) or not texts:
        raise WireError(400, "'input' must be a string or an array of strings, none empty.", param="input")
    if len(texts) > bounds.inputs:
        message = f"'input' is too long an array: at most {bounds.inputs} items, and it has {len(texts)}."
        raise WireError(400, message, param="input", code="array_above_max_length")
    return tuple(texts)


def _check_tokens(tokens: tuple[int, ...], bounds: Bounds) -> None:
    if (longest := max(tokens)) > bounds.input_tokens:
        # As in the real service, neither message nor param says which input it was.
        bound = bounds.input_tokens
        raise WireError(400, f"The maximum context length is {bound} tokens, and you requested {longest}.")
    if (total := sum(tokens)) > bounds.request_tokens:
        message = f"Requested {total} tokens, max {bounds.request_tokens} tokens per request."
        raise WireError(400, message, code="max_tokens_per_request")


def reset(request: web.Request) -> None:
    """Breaks the TCP connection off: a reset, where a mere close would look like an orderly end."""
    transport = request.transport
    if transport is None:
        return
    raw = transport.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
