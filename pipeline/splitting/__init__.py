"""Splitters: texts into chunks with exact offsets."""

from collections.abc import Callable
from pkgutil import resolve_name

from pipeline.errors import InputError
from pipeline.ports import Splitter, TokenCounter
from pipeline.splitter_spec import SplitterSpec

_Kind = Callable[[SplitterSpec, TokenCounter], Splitter]

# Named rather than imported: parsers of HTML and code are loaded where somebody asks for them.
_KINDS = {
    "code": "pipeline.splitting.code:CodeSplitter",
    "fixed": "pipeline.splitting.recursive:FixedSplitter",
    "html": "pipeline.splitting.html:HtmlSplitter",
    "markdown": "pipeline.splitting.markdown:MarkdownSplitter",
    "recursive": "pipeline.splitting.recursive:recursive_splitter",
    "sentence": "pipeline.splitting.recursive:SentenceSplitter",
}


def make(spec: SplitterSpec, counter: TokenCounter) -> Splitter:
    """The splitter that a spec names.

    Raises InputError where there is none of that name. The semantic splitter needs vectors, and is
    made by whoever has them.
    """
    if spec.kind not in _KINDS:
        raise InputError(f"there is no splitter {spec.kind!r}; choose one of {', '.join(sorted(_KINDS))}")
    kind: _Kind = resolve_name(_KINDS[spec.kind])
    return kind(spec, counter)
