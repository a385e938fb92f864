"""The publish log of a table: which version readers get.

Creating `log/<n+1>.json` only if it is absent is the commit point of every change, across
processes and machines. An entry is never rewritten: history only grows.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import orjson

from pipeline.errors import InputError, StoreRefused
from pipeline.objects import Objects
from pipeline.space import Space
from pipeline.splitter_spec import SplitterSpec

_ENTRY = re.compile(r"(?P<number>[0-9]+)\.json")
_READ = 256  # entries at a time
_AHEAD = 64  # entries asked for at once on object storage: a small one takes as long as its request's way


@dataclass(frozen=True, slots=True)
class Entry:
    """One version of a table."""

    version: int  # counted from 1
    kind: str  # "ingest", "rollback", "maintain", "switch"; "backfill" of a generation that is not live
    generation: str
    lance_version: int
    run_id: str
    published_at: str  # ISO 8601, UTC
    chunks: int  # rows that readers see
    space: dict[str, Any]
    splitter: dict[str, Any]
    counts: dict[str, Any] = field(default_factory=dict)  # of the run: documents and chunks

    @property
    def time(self) -> datetime:
        """When it was published."""
        return datetime.fromisoformat(self.published_at)

    def specs(self) -> tuple[Space, SplitterSpec]:
        """The space and the splitter that made this version."""
        return Space(**self.space), SplitterSpec(**self.splitter)


class Log:
    """The versions of one table; or the states of a generation that is filled beside the live one."""

    def __init__(self, objects: Objects, table: str, generation: str | None = None) -> None:
        self._objects = objects
        self._folder = f"tables/{table}/log" if generation is None else f"{beside(table)}/{generation}"
        self.table = table
        self.generation = generation

    def numbers(self) -> list[int]:
        """The numbers of all versions, oldest first; no entry is read."""
        found = map(_ENTRY.fullmatch, self._objects.names(self._folder))
        return sorted(int(entry["number"]) for entry in found if entry)

    def last(self) -> Entry | None:
        """The live version; None before the first publish. However many there are, it reads a few objects."""
        entry = self._find(self._hint())
        if entry is None:
            numbers = self.numbers()
            return self._read(numbers[-1]) if numbers else None
        while (later := self._find(entry.version + 1)) is not None:
            entry = later
        return entry

    def live(self) -> Entry:
        """The live version; raises InputError where nothing was ever published."""
        entry = self.last()
        if entry is None:
            raise InputError(self._missing())
        return entry

    def at(self, version: int | None) -> Entry:
        """A version by its number, the live one for None."""
        if version is None:
            return self.live()
        entry = self._find(version)
        if entry is not None:
            return entry
        numbers = self.numbers()
        if not numbers:
            raise InputError(self._missing())
        raise InputError(
            f"table {self.table!r} has no version {version}; it has {numbers[0]} to {numbers[-1]}"
        )

    def at_time(self, moment: datetime) -> Entry:
        """The version that readers got at a time; raises InputError where there was none yet.

        Of some ten thousand entries it reads a dozen.
        """
        numbers = self.numbers()
        if not numbers:
            raise InputError(self._missing())
        later = bisect_right(numbers, moment, key=lambda number: self._read(number).time)
        if not later:
            first = self._read(numbers[0]).time.astimezone(moment.tzinfo)
            raise InputError(
                f"table {self.table!r} had no version at {moment.isoformat(' ', 'seconds')}; "
                f"its first is of {first.isoformat(' ', 'seconds')}"
            )
        return self._read(numbers[later - 1])

    def entries(self) -> list[Entry]:
        """All versions, newest first."""
        return list(self.newest())

    def newest(self) -> Iterator[Entry]:
        """The versions, newest first, read as they are asked for."""
        numbers = self.numbers()[::-1]
        for first in range(0, len(numbers), _READ):
            yield from self._read_all(numbers[first : first + _READ])

    def since(self, version: int) -> list[Entry]:
        """The versions after one, oldest first."""
        last = self.last()
        return self._read_all(range(version + 1, last.version + 1)) if last else []

    def append(self, entry: Entry) -> bool:
        """Make a version live; False where another publish took its number."""
        if not self._objects.create(self._path(entry.version), orjson.dumps(asdict(entry))):
            return False
        if self.generation is None:
            with suppress(StoreRefused):  # it saves readers a search, and is no part of the commit
                self._objects.put(self._hint_path, str(entry.version).encode())
        return True

    def _hint(self) -> int:
        """The number of a version near the last, from which to look on; 0 where none is known."""
        data = b"" if self.generation else self._objects.get(self._hint_path) or b""
        return int(data) if data.isdigit() else 0

    @property
    def _hint_path(self) -> str:
        return f"{self._folder}/last"

    def _find(self, number: int) -> Entry | None:
        data = self._objects.get(self._path(number)) if number else None
        return None if data is None else self._entry(number, data)

    def _path(self, number: int) -> str:
        return f"{self._folder}/{number}.json"

    def _read(self, number: int) -> Entry:
        return self._entry(number, self._objects.get(self._path(number)) or b"")

    def _read_all(self, numbers: Sequence[int]) -> list[Entry]:
        found = self._objects.get_all(map(self._path, numbers), _AHEAD)
        return [self._entry(number, data or b"") for number, data in zip(numbers, found, strict=True)]

    def _entry(self, number: int, data: bytes) -> Entry:
        try:
            return Entry(**orjson.loads(data))
        except (orjson.JSONDecodeError, TypeError) as error:
            raise StoreRefused(
                f"{self._objects.at(self._path(number))} is damaged, so version {number} of table "
                f"{self.table!r} cannot be read; bring the file back, or remove it if nothing was published "
                "after it"
            ) from error

    def _missing(self) -> str:
        tables = published_tables(self._objects)
        others = f"; the store has {', '.join(tables)}" if tables else "; nothing was ingested yet"
        return f"there is no table {self.table!r} in {self._objects.uri}{others}"


def beside(table: str) -> str:
    """Where the logs of a table's generations are that are not live yet."""
    return f"tables/{table}/next"


def under_way(objects: Objects, table: str) -> list[Log]:
    """The logs of the generations that are filled beside the live one, the latest begun first."""
    found = [Log(objects, table, name) for name in objects.folders(beside(table))]
    begun = [log for log in found if log.numbers()]  # a folder of this machine stays when it is empty
    return [log for log in sorted(begun, key=_number_of, reverse=True) if _not_switched_to(objects, log)]


def _number_of(log: Log) -> int:
    return int((log.generation or "0").partition("-")[0])


def _not_switched_to(objects: Objects, log: Log) -> bool:
    """Whether a generation was never live: a switch can be killed before it removes the log beside."""
    begun = log.at(1).counts["of"]
    return all(entry.generation != log.generation for entry in Log(objects, log.table).since(begun))


def published_tables(objects: Objects) -> list[str]:
    """The tables that have a live version."""
    return [name for name in objects.folders("tables") if Log(objects, name).numbers()]
