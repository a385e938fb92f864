"""Orders: what was asked of a provider by batch, kept in the store until it is collected.

An order is written down before its batch is created, with a key that the batch bears, so that whoever comes
after a crash finds the batch by it, and nothing is submitted twice. It is shared by runs: a text that one
run has ordered is collected by the next that needs it.
"""

import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from typing import Any

import orjson
import pyarrow as pa

from pipeline import schema
from pipeline.cache import folder_name
from pipeline.objects import Objects
from pipeline.processes import is_alive
from pipeline.space import Space

# A step of an order, with its file on its way up, takes less than this: whoever began it is gone.
ABANDONED_SECONDS = 1800.0

RUNNING: set[str] = set()
"""The runs of this process that send by batch at the moment."""

_ORDER = "order.json"
_TEXTS = "texts.arrow"


@dataclass(frozen=True, slots=True)
class Line:
    """One request of a batch: texts that travel together."""

    number: int  # within its order
    texts: tuple[str, ...]
    hashes: tuple[str, ...]  # text_hash of each text
    tokens: int


@dataclass(frozen=True, slots=True)
class Order:
    """One batch, from the intent to order it until it is collected."""

    key: str  # the batch bears it as metadata
    run_id: str  # of the run that ordered
    base_url: str | None  # of the endpoint
    tokens: int  # of all its texts
    at: float  # unix seconds of its latest step
    host: str = ""
    pid: int = 0
    creating: bool = False  # from here on the batch may exist
    batch_id: str | None = None
    counted: tuple[int, ...] = ()  # requests that a run has in its bill, which was stopped while it collected

    def __post_init__(self) -> None:
        object.__setattr__(self, "counted", tuple(self.counted))  # JSON knows lists only

    def stepped(self, at: float, **changes: Any) -> "Order":
        """The order after a step of this process."""
        return replace(self, at=at, host=socket.gethostname(), pid=os.getpid(), **changes)

    def abandoned(self, now: float, run_id: str) -> bool:
        """Whether whoever took its latest step is gone."""
        if now - self.at > ABANDONED_SECONDS or self.run_id == run_id:
            return True
        if self.host != socket.gethostname():
            return False
        return self.run_id not in RUNNING if self.pid == os.getpid() else not is_alive(self.pid)


class Orders:
    """The orders of one space at one endpoint."""

    def __init__(self, objects: Objects, space: Space, base_url: str | None) -> None:
        self._objects = objects
        self._folder = f"batches/{folder_name(space)}"
        self._base_url = base_url

    def open(self) -> list[Order]:
        """The orders that are not collected yet, oldest first."""
        paths = [path for path in self._objects.paths(self._folder) if path.endswith(f"/{_ORDER}")]
        orders = [Order(**orjson.loads(data)) for data in self._objects.get_all(paths) if data]
        return sorted((one for one in orders if one.base_url == self._base_url), key=lambda one: one.at)

    def again(self, order: Order) -> Order | None:
        """The order as another process has left it; None where it is closed."""
        data = self._objects.get(self._path(order, _ORDER))
        return Order(**orjson.loads(data)) if data else None

    def write(self, order: Order, lines: Sequence[Line]) -> None:
        """Keep an order and its texts; the order first, so that no texts are left without one."""
        self.save(order)
        rows = [
            (line.number, text_hash, line.tokens, text)
            for line in lines
            for text_hash, text in zip(line.hashes, line.texts, strict=True)
        ]
        columns = [
            pa.array(column, field.type)
            for column, field in zip(zip(*rows, strict=True), schema.LINES, strict=True)
        ]
        batch = pa.RecordBatch.from_arrays(columns, schema=schema.LINES)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(
            sink, batch.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")
        ) as writer:
            writer.write_batch(batch)
        self._objects.put(self._path(order, _TEXTS), sink.getvalue().to_pybytes())

    def save(self, order: Order) -> None:
        """Keep a step of an order."""
        self._objects.put(self._path(order, _ORDER), orjson.dumps(asdict(order)))

    def lines(self, order: Order) -> Iterator[Line]:
        """The requests of an order; none where it was never written whole."""
        data = self._objects.get(self._path(order, _TEXTS))
        rows = pa.ipc.open_file(data).read_all().to_pylist() if data else []
        for number, group in groupby(rows, key=lambda row: row["line"]):
            of = list(group)
            yield Line(
                number,
                tuple(row["text"] for row in of),
                tuple(row["text_hash"] for row in of),
                of[0]["tokens"],
            )

    def close(self, order: Order) -> None:
        """Forget an order: it is collected, or will never be."""
        for name in (_TEXTS, _ORDER):
            self._objects.delete(self._path(order, name))

    def _path(self, order: Order, name: str) -> str:
        return f"{self._folder}/{order.key}/{name}"
