"""A server that does what the test says with each request: for answers that no sane endpoint gives."""

import json
import socketserver
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.client import parse_headers
from typing import Any

import numpy as np

Behaviour = Callable[["Exchange"], None]


@dataclass(slots=True)
class Exchange:
    """One request that has arrived whole."""

    headers: Message
    body: bytes
    write: Callable[[bytes], Any]  # to the client, raw
    read_to_end: Callable[[], bytes]  # returns when the client hangs up
    stopping: threading.Event  # set when the test is over

    @property
    def fields(self) -> dict[str, Any]:
        """The request's JSON."""
        fields: dict[str, Any] = json.loads(self.body)
        return fields


@dataclass(slots=True)
class Canned:
    """A running server, and what it was sent."""

    url: str  # the base URL that a client is given
    exchanges: list[Exchange] = field(default_factory=list)


@contextmanager
def canned(*behaviours: Behaviour) -> Iterator[Canned]:
    """Serve on a free port of this machine for as long as the block lasts.

    The first request meets the first behaviour, and so on; the last one stays.
    """
    stopping = threading.Event()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            if not self.rfile.readline():
                return
            headers = parse_headers(self.rfile)
            body = self.rfile.read(int(headers.get("content-length", "0")))
            exchange = Exchange(headers, body, self.wfile.write, self.rfile.read, stopping)
            behaviour = behaviours[min(len(running.exchanges), len(behaviours) - 1)]
            running.exchanges.append(exchange)
            behaviour(exchange)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        running = Canned(f"http://127.0.0.1:{server.server_address[1]}/v1")
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield running
        finally:
            stopping.set()
            server.shutdown()
            thread.join()


def says(status: int, body: bytes | str | object = b"", **headers: str) -> Behaviour:
    """An orderly HTTP answer; anything but bytes and text goes out as JSON."""
    raw = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    lines = {"Content-Length": str(len(raw)), "Connection": "close", **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
    return lambda exchange: exchange.write(f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + raw)


def sends(raw: bytes) -> Behaviour:
    """These bytes, and the end of the connection."""
    return lambda exchange: exchange.write(raw)


def dribbles(exchange: Exchange) -> None:
    """A byte of an answer now and then, for ever."""
    exchange.write(b"HTTP/1.1 200 X\r\nContent-Length: 100000\r\n\r\n")
    while not exchange.stopping.wait(0.02):
        try:
            exchange.write(b" ")
        except OSError:
            return


def packed(*numbers: float) -> str:
    """A vector as base64."""
    return b64encode(np.array(numbers, "<f4").tobytes()).decode()


def answer(rows: Sequence[Any], numbers: Sequence[Any] | None = None, **more: Any) -> dict[str, Any]:
    """The body of an answer with these embeddings, numbered from 0 unless told."""
    indexes = range(len(rows)) if numbers is None else numbers
    data = [{"index": index, "embedding": row} for index, row in zip(indexes, rows, strict=True)]
    return {"data": data, "usage": {"total_tokens": 3}, **more}
