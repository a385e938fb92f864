"""The quota as processes of one machine share it: a file, read and written under a lock.

It outlives all of them: whoever is killed, the minute before is remembered.
"""

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import orjson

from pipeline import ids
from pipeline.errors import StoreRefused
from pipeline.job import Endpoint
from pipeline.quota.meter import WINDOW
from pipeline.quota.quota import Ask, Lease, Quota
from pipeline.space import Space

_NO_URL = "default"


def quota_name(space: Space, endpoint: Endpoint) -> str:
    """Names the quota of an endpoint and key; the key cannot be told from it."""
    return ids.digest(space.provider, endpoint.base_url or _NO_URL, endpoint.api_key or "")


class MachineQuota:
    """An Office in a file. Its clock is one that all processes of the machine share, since the boot."""

    def __init__(
        self, folder: Path, name: str, clock: Callable[[], float] = time.monotonic, *, used: bool = False
    ) -> None:
        """The quota of this name; `used` takes the minute before as used up where no file remembers it.

        Raises StoreRefused where the folder cannot be used.
        """
        self._file = folder / f"{name}.json"
        self._lock = folder / f"{name}.lock"
        self._clock = clock
        self._used = used
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise self._refused(error) from error

    async def ask(self, ask: Ask) -> Lease:
        """Ask for a lease; see `Quota.ask`. Takes well below a millisecond."""
        return self.decide(ask)

    def decide(self, ask: Ask) -> Lease:
        """The same, outside of an event loop."""
        try:
            with self._lock.open("ab") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                now = self._clock()
                quota = self._read(now)
                lease = quota.ask(ask, now)
                self._write(quota, now)
            return lease
        except OSError as error:
            raise self._refused(error) from error

    def _read(self, now: float) -> Quota:
        """What the file remembers; nothing where there is none, or it is from before the boot."""
        with suppress(FileNotFoundError, orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            kept = orjson.loads(self._file.read_bytes())
            if kept["at"] <= now:
                return Quota.of(kept["quota"]) if now - kept["at"] < WINDOW else Quota()
            return Quota()
        return Quota(used=self._used)

    def _write(self, quota: Quota, now: float) -> None:
        aside = self._file.with_suffix(f".{os.getpid()}")
        aside.write_bytes(orjson.dumps({"at": now, "quota": quota.state()}))
        aside.replace(self._file)

    def _refused(self, error: OSError) -> StoreRefused:
        return StoreRefused(
            f"the quota that runs of this machine share cannot be kept in {self._file.parent}: "
            f"{error.strerror}; make room there, or set VECMILL_QUOTA_DIR to another folder"
        )
