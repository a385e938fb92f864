"""Small objects of the store by path, with conditional creation, on a folder or object storage."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, from_url

from pipeline.errors import InputError, StoreRefused

_NO_SPACE = os.strerror(errno.ENOSPC)
_LANCE_READ = re.compile(r"LanceError\(IO\)|Not found: ")  # which it raises as ValueError


def is_remote(uri: str) -> bool:
    """Whether a store's URI is a URL of object storage rather than a path on this machine."""
    return "://" in uri and not uri.startswith("file://")


def resolved(uri: str) -> str:
    """The URI as every process understands it, whatever folder it works in."""
    if is_remote(uri):
        return uri.rstrip("/")
    return os.path.abspath(Path(uri.removeprefix("file://")).expanduser())


class Objects:
    """The store at a URI: a path on this machine, or a URL such as s3://bucket/prefix."""

    def __init__(self, uri: str, *, create: bool = False) -> None:
        """Open a store; raises InputError where there is none, unless `create` is set."""
        self.uri = resolved(uri)
        with store_errors(uri):
            if is_remote(uri):
                self._store: Any = from_url(self.uri)
                return
            folder = Path(self.uri)
            if not create and not folder.is_dir():
                raise InputError(
                    f"there is no store at {uri}; ingest something first, or name it with --store"
                )
            self._store = LocalStore(prefix=folder, mkdir=create)

    def at(self, path: str) -> str:
        """The URI of a path in the store, for libraries that open it themselves."""
        return f"{self.uri}/{path}"

    def put(self, path: str, data: bytes) -> None:
        """Write an object whole: written aside, then renamed."""
        with self._errors(path):
            obstore.put(self._store, path, data)

    def create(self, path: str, data: bytes) -> bool:
        """Write an object only if there is none; says whether this call made it."""
        with self._errors(path):
            try:
                obstore.put(self._store, path, data, mode="create")
            except AlreadyExistsError:
                return False
        return True

    def get(self, path: str) -> bytes | None:
        """Read an object; None where there is none."""
        with self._errors(path):
            try:
                return bytes(obstore.get(self._store, path).bytes())
            except FileNotFoundError:
                return None

    def paths(self, prefix: str) -> list[str]:
        """The paths of all objects below a prefix, sorted."""
        with self._errors(prefix):
            return sorted(meta["path"] for batch in obstore.list(self._store, prefix) for meta in batch)

    def folders(self, prefix: str) -> list[str]:
        """The names of the folders right below a prefix, sorted."""
        with self._errors(prefix):
            found = obstore.list_with_delimiter(self._store, prefix)
        return sorted(path.rpartition("/")[2] for path in found["common_prefixes"])

    def delete(self, path: str) -> None:
        """Remove an object; another may have removed it already."""
        with self._errors(path), suppress(FileNotFoundError):
            obstore.delete(self._store, path)

    @contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        try:
            with store_errors(self.at(path)):
                yield
        except ValueError as error:
            raise InputError(f"{path!r} cannot be a path in a store: {error}") from error


@contextmanager
def store_errors(place: str) -> Iterator[None]:
    """Translate what storage libraries raise into StoreRefused, which says where and what to do."""
    try:
        yield
    except (OSError, BaseError, ValueError) as error:
        if isinstance(error, ValueError) and not _LANCE_READ.match(str(error)):
            raise
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        if getattr(error, "errno", None) == errno.ENOSPC or _NO_SPACE in str(error):
            raise StoreRefused(
                f"no space left for {place}; make room, then run the same command again"
            ) from error
        raise StoreRefused(
            f"the store cannot be used at {place}: {first}; vecmill doctor checks it"
        ) from error
