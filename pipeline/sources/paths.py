"""Finds the files that a folder, a file or a glob means."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from wcmatch import glob as wcglob
from wcmatch._wcparse import PatternLimitException

from pipeline.errors import InputError

_MAGIC = re.compile(r"[*?\[{]")
_NAMES_HIDDEN = re.compile(r"(?:^|[/{,])\.")


@dataclass(frozen=True, slots=True)
class Paths:
    """Files under one root, as a person named them."""

    root: Path  # absolute; document ids are relative to it
    patterns: tuple[str, ...]  # globs relative to the root, `**` for any depth

    def __post_init__(self) -> None:
        _matcher(self.patterns)

    @classmethod
    def parse(cls, uri: str, patterns: Sequence[str]) -> "Paths":
        """Read a folder, a file or a glob; a folder's files are those that match `patterns`."""
        path = unquote(uri.removeprefix("file://")) if uri.startswith("file://") else uri
        named = Path(os.path.abspath(os.path.expanduser(path)))  # noqa: PTH111 - "~name" may be a file
        try:
            if named.is_dir():
                return cls(named, tuple(patterns))
            if named.exists():
                return cls(named.parent, (wcglob.escape(named.name),))
            root = _fixed_part(named)
        except OSError as error:
            raise InputError(f"{uri} cannot be read: {error.strerror}") from error
        if root is None:
            raise InputError(f"{uri} does not exist; name a folder, a file or a glob on this machine")
        return cls(root, (named.relative_to(root).as_posix(),))

    def find(self) -> Iterator[tuple[str, Path]]:
        """Give (path relative to the root, absolute path) of each file, sorted by the former.

        Hidden files and folders are left out unless a pattern names them. Raises InputError where
        a folder cannot be listed: taking its files for deleted would delete their documents.
        """
        found = []
        for folder, folders, files in os.walk(self.root, onerror=_cannot_list):
            inside = Path(folder).relative_to(self.root)
            folders[:] = [name for name in folders if self._enters((inside / name).as_posix())]
            for name in files:
                relative = (inside / name).as_posix()
                if self._matches(relative):
                    found.append((relative, Path(folder, name)))
        yield from sorted(found)

    def covers(self, uri: str) -> bool:
        """Whether a file with this URI is one of these, or would be if it existed."""
        root = file_uri(self.root).rstrip("/") + "/"
        return uri.startswith(root) and self._matches(unquote(uri[len(root) :]))

    def _matches(self, relative: str) -> bool:
        return bool(_matcher(self.patterns).match(relative))

    def _enters(self, folder: str) -> bool:
        """Whether a folder may hold matches; .git, or all of /tmp for one file in it, is not walked."""
        hidden = folder.rpartition("/")[2].startswith(".")
        return any(
            ("**" in pattern or pattern.count("/") > folder.count("/"))
            and (not hidden or _NAMES_HIDDEN.search(pattern))
            for pattern in self.patterns
        )


def file_uri(path: Path) -> str:
    """The URI of a file; a name may be any bytes."""
    return "file://" + quote(os.fsencode(path))


def _fixed_part(path: Path) -> Path | None:
    """The folder above a glob's first wildcard; None where there is none. An existing `[x]` is a name."""
    for part in (*reversed(path.parents), path):
        if _MAGIC.search(part.name) and not part.exists():
            return part.parent
    return None


@lru_cache
def _matcher(patterns: tuple[str, ...]) -> Any:
    try:
        return wcglob.compile(patterns, flags=wcglob.GLOBSTAR | wcglob.BRACE)
    except PatternLimitException as error:
        raise InputError(f"the braces of {', '.join(patterns)} mean too many patterns; use * or ?") from error


def _cannot_list(error: OSError) -> None:
    raise InputError(
        f"cannot list {error.filename}: {error.strerror}; nothing was changed, "
        "or what it holds would pass for deleted"
    ) from error
