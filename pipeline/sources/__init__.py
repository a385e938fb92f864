"""Sources: where documents come from."""

from collections.abc import Callable

from pipeline.errors import InputError
from pipeline.job import SourceSpec
from pipeline.ports import Source
from pipeline.sources.files import FileSource
from pipeline.sources.rows import RowSource

_KINDS: dict[str, Callable[[SourceSpec], Source]] = {"files": FileSource, "rows": RowSource}


def open_source(spec: SourceSpec) -> Source:
    """The source that a spec names."""
    if spec.kind not in _KINDS:
        raise InputError(f"there is no source {spec.kind!r}; choose one of {', '.join(sorted(_KINDS))}")
    return _KINDS[spec.kind](spec)
