"""Claims: which run is about to pay for which texts, so that runs at once do not pay for the same ones.

A claim is an object with a number, created only if absent: of two runs that claim the same text, the one
with the lower number sends it, and the other finds that claim and waits for it. Who waits holds no claim, so
no two runs wait for each other.
"""

import io
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.cache import folder_name
from pipeline.objects import Objects
from pipeline.processes import is_alive
from pipeline.space import Space

_RENEWED = 15.0  # seconds between a holder's signs of life
_GONE = 120.0  # seconds without one after which a claim holds no more
_SIGN = b"vecmill.sign"
_LOOK = 0.5  # seconds between two looks at claims that are waited for


@dataclass(frozen=True, slots=True)
class Claim:
    """A run's claim to some texts."""

    number: int
    hashes: pa.Array  # text_hash, strings


class Claims:
    """The claims to texts of one space."""

    def __init__(
        self, objects: Objects, space: Space, now: Callable[[], float] = time.time, renewed: float = _RENEWED
    ) -> None:
        self._objects = objects
        self._folder = f"claims/{folder_name(space)}"
        self._now = now  # seconds since the epoch: machines have no other clock in common
        self._renewed = renewed

    @contextmanager
    def held(self, run_id: str, hashes: pa.Array) -> Iterator[list[Claim]]:
        """Claim texts; gives the claims of others that come before, and have some of them."""
        number = self._create(run_id, hashes)
        self._objects.put(self._path(number, "json"), self._sign(run_id))
        done = threading.Event()

        def renew() -> None:
            while not done.wait(self._renewed):
                self._objects.put(self._path(number, "json"), self._sign(run_id))

        renewing = threading.Thread(target=renew, name="claim", daemon=True)
        renewing.start()
        try:
            before = self._before(number, hashes)
            del hashes  # there can be millions, and the sending takes hours
            yield before
        finally:
            done.set()
            renewing.join()
            self._release(number)

    def wait(
        self,
        claims: list[Claim],
        check: Callable[[], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Wait until none of some claims holds any more; `check` is called meanwhile, and may raise."""
        numbers = {claim.number for claim in claims}
        while any(self._holds(number) for number in numbers.intersection(self._numbers())):
            check()
            sleep(_LOOK)

    def _create(self, run_id: str, hashes: pa.Array) -> int:
        sink, sign = io.BytesIO(), {_SIGN: self._sign(run_id)}
        pq.write_table(pa.table({"text_hash": hashes}).replace_schema_metadata(sign), sink)
        number = max(self._numbers(), default=0) + 1
        while not self._objects.create(self._path(number, "parquet"), sink.getvalue()):
            number += 1
        return number

    def _before(self, number: int, hashes: pa.Array) -> list[Claim]:
        found = []
        for other in self._numbers():
            if other < number and self._holds(other):
                claimed = self._read(other)
                if claimed is None:
                    continue
                names = claimed["text_hash"].combine_chunks()
                common = names.filter(pc.is_in(names, value_set=hashes))
                if len(common):
                    found.append(Claim(other, common))
        return found

    def _holds(self, number: int) -> bool:
        """Whether a claim's run is still there; the claim of one that is gone is released."""
        sign = self._objects.get(self._path(number, "json"))
        if sign is None:  # killed before its first sign, or released
            claim = self._read(number)
            if claim is None:
                return False
            sign = claim.schema.metadata[_SIGN]
        if self._is_alive(orjson.loads(sign)):
            return True
        self._release(number)
        return False

    def _is_alive(self, sign: dict[str, Any]) -> bool:
        if self._now() - float(sign["at"]) > _GONE:  # its number may be another process's by now
            return False
        if sign["host"] != socket.gethostname():
            return True
        return is_alive(sign["pid"])

    def _sign(self, run_id: str) -> bytes:
        """A sign of life."""
        return orjson.dumps(
            {"run_id": run_id, "host": socket.gethostname(), "pid": os.getpid(), "at": self._now()}
        )

    def _read(self, number: int) -> pa.Table | None:
        data = self._objects.get(self._path(number, "parquet"))
        return None if data is None else pq.read_table(io.BytesIO(data))

    def _release(self, number: int) -> None:
        for kind in ("parquet", "json"):
            self._objects.delete(self._path(number, kind))

    def _numbers(self) -> list[int]:
        paths = self._objects.paths(self._folder)
        return sorted(
            int(path.rpartition("/")[2].split(".")[0]) for path in paths if path.endswith("parquet")
        )

    def _path(self, number: int, kind: str) -> str:
        return f"{self._folder}/{number:09d}.{kind}"
