"""Splitters: texts into chunks with exact offsets."""

from collections.abc import Callable

from pipeline.errors import InputError
from pipeline.model import SplitterSpec
from pipeline.ports import Splitter, TokenCounter
from pipeline.splitting.markdown import MarkdownSplitter
from pipeline.splitting.recursive import RecursiveSplitter

_KINDS: dict[str, Callable[[SplitterSpec, TokenCounter], Splitter]] = {
    "markdown": MarkdownSplitter,
    "recursive": RecursiveSplitter,
}


def make(spec: SplitterSpec, counter: TokenCounter) -> Splitter:
    """The splitter that a spec names."""
    if spec.kind not in _KINDS:
        raise InputError(f"there is no splitter {spec.kind!r}; choose one of {', '.join(sorted(_KINDS))}")
    return _KINDS[spec.kind](spec, counter)
