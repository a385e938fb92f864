"""Finds the files that a folder, a file or a glob means."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from wcmatch import glob as wcglob

from pipeline.errors import InputError

_MAGIC = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Paths:
    """Files under one root, as a person named them."""

    root: Path  # absolute; document ids are relative to it
    patterns: tuple[str, ...]  # globs relative to the root, `**` for any depth

    @classmethod
    def parse(cls, uri: str, patterns: Sequence[str]) -> "Paths":
        """Read a folder, a file or a glob; a folder's files are those that match `patterns`."""
        named = Path(os.path.abspath(Path(uri.removeprefix("file://")).expanduser()))
        if named.is_dir():
            return cls(named, tuple(patterns))
        if named.exists():
            return cls(named.parent, (wcglob.escape(named.name),))
        if _MAGIC.search(uri):
            parts = named.parts
            fixed = next(n for n, part in enumerate(parts) if _MAGIC.search(part))
            return cls(Path(*parts[:fixed]), ("/".join(parts[fixed:]),))
        raise InputError(f"{uri} does not exist; name a folder, a file or a glob")

    def find(self) -> Iterator[tuple[str, Path]]:
        """Give (path relative to the root, absolute path) of each file, sorted; hidden ones are left out.

        Raises InputError where a folder cannot be listed: taking its files for deleted would
        delete their documents.
        """
        found = []
        for folder, folders, files in os.walk(self.root, onerror=_cannot_list):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in files:
                path = Path(folder, name)
                relative = path.relative_to(self.root).as_posix()
                if not name.startswith(".") and self._matches(relative):
                    found.append((relative, path))
        yield from sorted(found)

    def covers(self, uri: str) -> bool:
        """Whether a file with this URI is one of these, or would be if it existed."""
        root = file_uri(self.root).rstrip("/") + "/"
        return uri.startswith(root) and self._matches(unquote(uri[len(root) :]))

    def _matches(self, relative: str) -> bool:
        return bool(wcglob.globmatch(relative, self.patterns, flags=wcglob.GLOBSTAR | wcglob.BRACE))


def file_uri(path: Path) -> str:
    """The URI of a file."""
    return "file://" + quote(path.as_posix())


def _cannot_list(error: OSError) -> None:
    raise InputError(f"cannot list {error.filename}: {error.strerror}") from error
