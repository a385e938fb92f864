"""Small objects of the store by path, with conditional creation, on a folder or object storage."""

import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import LocalStore

from pipeline import ids
from pipeline.errors import InputError, StoreRefused
from pipeline.place import Place, is_remote
from pipeline.refusals import no_bucket, store_errors

__all__ = ["Objects", "is_remote", "resolved", "store_errors"]

T = TypeVar("T")
R = TypeVar("R")

_AT_ONCE = 16  # requests to object storage on their way, where there are many to make
_PLAIN = re.compile(r"(?:[A-Za-z0-9_@-][A-Za-z0-9_@.-]*/)*[A-Za-z0-9_@-][A-Za-z0-9_@.-]*")  # paths as files
_PROVEN = b"conditional writes work"


def resolved(address: str) -> str:
    """The address as every process understands it, whatever folder it works in."""
    return Place.of(address).address


@dataclass(frozen=True, slots=True)
class Kept:
    """An object as its store lists it."""

    path: str
    size: int  # bytes
    modified: datetime

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rpartition("/")[2]


class Objects:
    """The store at an address: a path on this machine, or a URL such as s3://bucket/prefix."""

    def __init__(self, address: str, *, create: bool = False) -> None:
        """Open a store; raises InputError where there is none, unless `create` is set.

        To create one on object storage proves that it can be committed to (`prove`).
        """
        place = Place.of(address)
        self.uri = place.uri
        self.options = place.lance()  # for Lance, which opens datasets of the store itself
        self._place = place
        self._remote = is_remote(self.uri)
        self._proven = not self._remote
        self._reached = not self._remote
        if not self._remote and not create and not Path(self.uri).is_dir():
            raise InputError(
                f"there is no store at {address}; ingest something first, or name it with --store"
            )
        with store_errors(self.uri):
            if not self._remote:
                self._store: Any = LocalStore(prefix=Path(self.uri), mkdir=create)
                return
            self._store = place.open(first=True)
        if create:
            self.prove()

    def at(self, path: str) -> str:
        """The URI of a path in the store, for libraries that open it themselves."""
        return f"{self.uri}/{path}"

    def prove(self) -> None:
        """Make sure that the server takes a conditional write only once, which every commit leans on.

        It is tried at the first use of a store, and remembered there. Raises StoreRefused.
        """
        if self._proven:
            return
        path = f"checked/{ids.digest(self._place.endpoint_url or '')[:12]}"  # a copy elsewhere proves nothing
        if self.get(path) != _PROVEN:
            self._created(path, b"tried")
            if self._created(path, b"tried again"):
                self.delete(path)
                raise StoreRefused(
                    f"{self.uri} ignores conditional writes (If-None-Match), so that runs at once would lose "
                    "each other's work; use a server that has them, such as S3, GCS, Azure, MinIO or Ceph of "
                    "today, or a folder"
                )
            self.put(path, _PROVEN)
        self._proven = True

    def put(self, path: str, data: bytes) -> None:
        """Write an object whole: written aside, then renamed."""
        with self._errors(path):
            obstore.put(self._store, path, data)

    def create(self, path: str, data: bytes) -> bool:
        """Write an object only if there is none; says whether this call made it."""
        self.prove()
        return self._created(path, data)

    def _created(self, path: str, data: bytes) -> bool:
        with self._errors(path):
            try:
                obstore.put(self._store, path, data, mode="create")
            except AlreadyExistsError:
                return False
        return True

    def get(self, path: str) -> bytes | None:
        """Read an object; None where there is none."""
        if not self._remote and _PLAIN.fullmatch(path):
            return self._read(path)
        with self._errors(path):
            try:
                return bytes(obstore.get(self._store, path).bytes())
            except (FileNotFoundError, IsADirectoryError) as error:
                if no_bucket(error):
                    raise
                return None

    def _read(self, path: str) -> bytes | None:
        """Read a file of this machine, in a tenth of the time that `obstore` takes for a small one."""
        try:
            with FileIO(f"{self.uri}/{path}") as file:
                return file.readall()
        except (FileNotFoundError, IsADirectoryError):
            return None
        except OSError:
            with self._errors(path):
                raise
        return None

    def each(self, step: Callable[[T], R], items: Iterable[T], ahead: int = _AT_ONCE) -> Iterator[R]:
        """Use the store for each of many items, in order; where it is far away, for so many ahead at once."""
        return _at_once(step, items, ahead) if self._remote else map(step, items)

    def get_all(self, paths: Iterable[str], ahead: int = _AT_ONCE) -> Iterator[bytes | None]:
        """Read objects in the order of their paths; None for each that is not there."""
        return self.each(self.get, paths, ahead)

    def put_all(self, objects: Iterable[tuple[str, bytes]]) -> None:
        """Write objects."""

        def put(one: tuple[str, bytes]) -> None:
            self.put(*one)

        deque(self.each(put, objects), maxlen=0)

    def paths(self, prefix: str) -> list[str]:
        """The paths of all objects below a prefix, sorted."""
        with self._errors(prefix):
            return sorted(meta["path"] for batch in obstore.list(self._store, prefix) for meta in batch)

    def names(self, folder: str) -> list[str]:
        """The names of what a folder holds, in no order; on this machine each costs hardly anything."""
        if self._remote or not _PLAIN.fullmatch(folder):
            return [path.rpartition("/")[2] for path in self.paths(folder)]
        with self._errors(folder):
            try:
                with os.scandir(f"{self.uri}/{folder}") as found:
                    return [one.name for one in found]
            except FileNotFoundError:
                return []

    def listed(self, prefix: str) -> list["Kept"]:
        """All objects below a prefix, as the store lists them."""
        with self._errors(prefix):
            found = (meta for batch in obstore.list(self._store, prefix) for meta in batch)
            return [Kept(meta["path"], int(meta["size"]), meta["last_modified"]) for meta in found]

    def folders(self, prefix: str) -> list[str]:
        """The names of the folders right below a prefix, sorted."""
        with self._errors(prefix):
            found = obstore.list_with_delimiter(self._store, prefix)
        return sorted(path.rpartition("/")[2] for path in found["common_prefixes"])

    def delete(self, path: str) -> None:
        """Remove an object; another may have removed it already."""
        with self._errors(path), suppress(FileNotFoundError):
            obstore.delete(self._store, path)

    def delete_all(self, paths: Sequence[str]) -> None:
        """Remove objects; on object storage a thousand a request."""
        if not self._remote:
            for path in paths:
                self.delete(path)
        elif paths:
            with self._errors(paths[0]):
                obstore.delete(self._store, list(paths))

    @contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        try:
            with store_errors(self.at(path)):
                yield
        except ValueError as error:
            raise InputError(f"{path!r} cannot be a path in a store: {error}") from error
        if not self._reached:
            self._store, self._reached = self._place.open(), True


def _at_once(step: Callable[[T], R], items: Iterable[T], most: int) -> Iterator[R]:
    """Apply a step to each item, a bounded number at a time; results come in the items' order."""
    waiting = iter(items)
    flying = deque[Future[R]]()
    with ThreadPoolExecutor(most) as pool:
        try:
            flying.extend(pool.submit(step, item) for item in islice(waiting, most))
            while flying:
                result = flying.popleft().result()
                flying.extend(pool.submit(step, item) for item in islice(waiting, 1))
                yield result
        finally:
            for future in flying:
                future.cancel()
