"""Names of versions: small objects beside the publish log, each made only if there is none of its name."""

import re
from datetime import UTC, datetime

import orjson

from pipeline.errors import InputError, StoreRefused
from pipeline.objects import Objects

LIVE = "live"
"""What the live version is called, whichever it is."""

NEXT = "next"
"""What the generation is called that is filled beside the live one."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


class Names:
    """The named versions of one table. A name keeps its version readable: retention leaves it alone."""

    def __init__(self, objects: Objects, table: str) -> None:
        self._objects = objects
        self._table = table
        self._folder = f"tables/{table}/names"

    def all(self) -> dict[str, int]:
        """The version that each name stands for."""
        paths = [path for path in self._objects.paths(self._folder) if path.endswith(".json")]
        found = zip(paths, self._objects.get_all(paths), strict=True)
        return {_name_of(path): self._version(path, data) for path, data in found if data is not None}

    def find(self, name: str) -> int | None:
        """The version of a name; None where nothing has it."""
        if not _NAME.fullmatch(name):
            return None
        data = self._objects.get(self._path(name))
        return None if data is None else self._version(self._path(name), data)

    def give(self, version: int, name: str, *, move: bool = False) -> None:
        """Name a version. Raises InputError where another has the name, unless it is to `move`."""
        check_name(name)
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        data = orjson.dumps({"version": version, "named_at": at})
        if move:
            self._objects.put(self._path(name), data)
            return
        while not self._objects.create(self._path(name), data):
            held = self.find(name)
            if held == version:
                return
            if held is not None:
                raise InputError(
                    f"version {held} of table {self._table!r} is called {name} already; "
                    "say --move to give its name to another"
                )

    def remove(self, name: str) -> int:
        """Take a name away; gives the version that had it. Raises InputError where none has."""
        version = self.find(name)
        if version is None:
            raise InputError(f"no version of table {self._table!r} is called {name!r}{self.told()}")
        self._objects.delete(self._path(name))
        return version

    def told(self) -> str:
        """The names that there are, as the end of a message."""
        names = sorted(self.all())
        shown = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
        return f"; its names are {shown}" if names else "; it has no named versions"

    def _path(self, name: str) -> str:
        return f"{self._folder}/{name}.json"

    def _version(self, path: str, data: bytes) -> int:
        try:
            return int(orjson.loads(data)["version"])
        except (orjson.JSONDecodeError, TypeError, KeyError, ValueError) as error:
            raise StoreRefused(
                f"{self._objects.at(path)} is damaged, so it is not known which version of table "
                f"{self._table!r} is called {_name_of(path)}; give the name again, with --move"
            ) from error


def check_name(name: str) -> None:
    """Raise InputError for what cannot be a version's name, since it is read as something else."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} cannot name a version: a name has letters, digits, '.', '-' and '_', at most 100, and "
            "begins with none of '.' and '-'"
        )
    if name == LIVE:
        raise InputError(f"{LIVE!r} is always the live version; take another name")
    if name == NEXT:
        raise InputError(
            f"{NEXT!r} is always the generation that is filled beside the live one; take another name"
        )
    if name.isdigit():
        raise InputError(f"{name!r} is a version's number, not a name; put a letter before it: v{name}")
    if _is_time(name):
        raise InputError(f"{name!r} is read as a time, not as a name; put a letter before it: v-{name}")


def _is_time(name: str) -> bool:
    try:
        datetime.fromisoformat(name)
    except ValueError:
        return False
    return True


def _name_of(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".json")
