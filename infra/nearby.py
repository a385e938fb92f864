"""Where a `vecmill up` of a store listens: it says so beside its database, and commands find it there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import orjson

from pipeline.objects import is_remote, resolved
from pipeline.processes import is_alive

HOME = "prefect"
"""What Prefect keeps of a store, in the store's folder."""

_FILE = "up.json"
_ANSWER_SECONDS = 2.0


@contextmanager
def announced(store: str, api: str) -> Iterator[None]:
    """Let commands on this machine find the server of a store; nothing is said in one on object storage."""
    if is_remote(store):
        yield
        return
    file, said = _file(store), orjson.dumps({"pid": os.getpid(), "api": api})
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(said)
    try:
        yield
    finally:
        if file.is_file() and file.read_bytes() == said:
            file.unlink()


def server_nearby(store: str) -> str | None:
    """The address of the server of a `vecmill up` that runs on a store; None where none lives and answers."""
    if is_remote(store) or not _file(store).is_file():
        return None
    try:
        said = orjson.loads(_file(store).read_bytes())
        pid, api = int(said["pid"]), str(said["api"])
    except (OSError, ValueError, KeyError, TypeError):  # it is just being written, or removed
        return None
    return api if is_alive(pid) and answers(api) else None


def answers(api: str) -> bool:
    """Whether a server can be asked."""
    try:
        with urlopen(f"{api}/health", timeout=_ANSWER_SECONDS) as answer:  # noqa: S310 - an address of ours
            return bool(answer.status == 200)
    except (URLError, OSError, ValueError):
        return False


def _file(store: str) -> Path:
    return Path(resolved(store)) / HOME / _FILE
