"""Files of Markdown, text and HTML."""

from collections.abc import Iterable, Iterator

from pipeline.errors import InputError
from pipeline.model import DeadLetter, Document, Listed, SourceSpec
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
                relative.encode()
                status = path.stat()
            except (OSError, UnicodeEncodeError) as error:
                name = relative.encode("utf-8", "backslashreplace").decode()
                yield DeadLetter(name, self._spec.uri, "list", _reason(error))
                continue
            yield Listed(relative, file_uri(path), f"{status.st_size}-{status.st_mtime_ns}")
        if not found:
            raise InputError(
                f"{self._spec.uri} holds no documents ({', '.join(self._paths.patterns)}); "
                "nothing was changed. Name another folder, or say with --glob which files are meant"
            )

    def read(self, listed: Iterable[Listed]) -> Iterator[Document | DeadLetter]:
        """Read files; what is no text is a dead letter."""
        for one in listed:
            path = self._paths.root / one.doc_id
            try:
                text = extract(path.read_bytes(), path.name)
            except (OSError, InputError) as error:
                yield DeadLetter(one.doc_id, one.uri, "split", _reason(error))
                continue
            yield Document(one.doc_id, one.uri, one.token, text)

    def covers(self, uri: str) -> bool:
        """Whether the URI is of a file that this source would list."""
        return self._paths.covers(uri)


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeEncodeError):
        return "the file's name is not UTF-8; rename it"
    return f"cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)
