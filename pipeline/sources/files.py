"""Files of Markdown, text and HTML."""

import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.errors import InputError
from pipeline.job import SourceSpec
from pipeline.model import DeadLetter, Document, Listed
from pipeline.sources.extract import extract
from pipeline.sources.paths import Paths, file_uri

_KINDS = ("**/*.md", "**/*.markdown", "**/*.txt", "**/*.html", "**/*.htm")


class FileSource:
    """One document a file; its id is the path relative to the folder named."""

    def __init__(self, spec: SourceSpec) -> None:
        self._spec = spec
        self._paths = Paths.parse(spec.uri, (spec.glob,) if spec.glob else _KINDS)

    def list(self) -> Iterator[Listed | DeadLetter]:
        """List the files by name; size and time of change are their token."""
        found = False
        for relative, path in self._paths.find():
            found = True
            try:
                yield Listed(_utf8(relative), file_uri(path), _token(path))
            except (OSError, InputError) as error:
                name = relative.encode("utf-8", "backslashreplace").decode()
                yield DeadLetter(name, file_uri(path), "list", _reason(error))
        if not found:
            raise InputError(
                f"{self._spec.uri} holds no documents ({', '.join(self._paths.patterns)}); "
                "nothing was changed. Name another folder, or say with --glob which files are meant; "
                "rows of CSV, JSON lines and Parquet need --text and --id"
            )

    def read(self, listed: Iterable[Listed]) -> Iterator[Document | DeadLetter]:
        """Read files; what is no text is a dead letter."""
        for one in listed:
            path = self._paths.root / one.doc_id
            try:
                text = extract(path.read_bytes(), path.name, markup=self._spec.markup)
            except (OSError, InputError) as error:
                yield DeadLetter(one.doc_id, one.uri, "split", _reason(error))
                continue
            yield Document(one.doc_id, one.uri, one.token, text)

    def covers(self, uri: str) -> bool:
        """Whether the URI is of a file that this source would list."""
        return self._paths.covers(uri)


def _utf8(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise InputError("has a name that is not UTF-8; rename it") from None
    return name


def _token(path: Path) -> str:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise InputError("is no regular file")  # reading a pipe would wait for ever
    return f"{status.st_size}-{status.st_mtime_ns}"


def _reason(error: Exception) -> str:
    return f"cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)
