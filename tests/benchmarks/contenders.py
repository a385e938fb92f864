"""Splitters side by side: ours, and the peers' as they are installed.

A contender is made anew for each round, since some remember what they have counted.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pkgutil import resolve_name as _named  # so that types are checked the same without the peers
from typing import Any, Protocol, cast

from pipeline.splitter_spec import SplitterSpec
from pipeline.splitting import make
from pipeline.tokens import OpenAITokens

Split = Callable[[str], Any]
Count = Callable[[str], int]
Pieces = list[tuple[int | None, str]]
"""Chunks: where each claims to start, if it does, and its text."""

_HEADERS = [("#" * level, str(level)) for level in range(1, 7)]
_RECURSIVE = "langchain_text_splitters:RecursiveCharacterTextSplitter"
_BY_HEADERS = "langchain_text_splitters:MarkdownHeaderTextSplitter"


@dataclass(frozen=True, slots=True)
class Contender:
    """A splitter with its parameters set."""

    name: str
    make: Callable[[], Split]
    pieces: Callable[[Any], Pieces] = list  # of what the made splitter gives
    gives: str = "start, text"  # of each chunk


class _Spans(Protocol):
    def spans(self, text: str) -> list[tuple[int, int]]:
        """The chunks' starts and ends."""


def ours(name: str, kind: str, bound: int, overlap: int = 0, **options: Any) -> Contender:
    """One of ours, its bound in characters: exact spans and their texts; tokens are not counted."""
    spec = SplitterSpec(
        kind, max_characters=bound, overlap_characters=overlap, **{**_NOTHING_ADDED, **options}
    )

    def made() -> Split:
        spans = cast(_Spans, make(spec, OpenAITokens())).spans
        return lambda text: [(start, text[start:end]) for start, end in spans(text)]

    return Contender(f"vecmill {name}", made)


def ours_in_tokens(name: str, kind: str, bound: int, **options: Any) -> Contender:
    """One of ours, its bound in tokens: the chunks as they are stored, and their texts."""
    spec = SplitterSpec(kind, bound, **{**_NOTHING_ADDED, **options})

    def made() -> Split:
        split = make(spec, OpenAITokens()).split
        return lambda text: [(chunk, text[chunk.start : chunk.end]) for chunk in split(text)]

    def pieces(found: Iterable[Any]) -> Pieces:
        return [(chunk.start, text) for chunk, text in found]

    return Contender(f"vecmill {name}", made, pieces, "start, end, text, tokens, headings")


_NOTHING_ADDED = {"prefix_headings": False, "repeat_table_header": False}
"""Peers embed the chunks' own texts only."""


def langchain(bound: int, overlap: int = 0, count: Count = len) -> Contender:
    """LangChain's recursive splitter, with offsets."""

    def made() -> Split:
        splitter = _named(_RECURSIVE)(
            chunk_size=bound, chunk_overlap=overlap, length_function=count, add_start_index=True
        )
        return lambda text: splitter.create_documents([text])

    return Contender("LangChain recursive", made, _documents)


def langchain_headers(bound: int, count: Count = len) -> Contender:
    """LangChain's way with Markdown: by headers, then recursively. It has no offsets in the document."""

    def made() -> Split:
        headers = _named(_BY_HEADERS)(_HEADERS)
        splitter = _named(_RECURSIVE)(chunk_size=bound, chunk_overlap=0, length_function=count)
        return lambda text: splitter.split_documents(headers.split_text(text))

    return Contender("LangChain headers, recursive", made, _documents, "text, headings")


def semantic_text(kind: str, *arguments: Any, by: str = "", offsets: bool = True) -> Contender:
    """One of semantic-text-splitter (Rust): "Text" or "Markdown", made by a constructor or `by` another."""
    path = f"semantic_text_splitter:{kind}Splitter{by}"
    name = f"semantic-text-splitter {kind}"
    if offsets:
        return Contender(name, lambda: cast(Split, _named(path)(*arguments).chunk_indices))
    return Contender(
        f"{name}, texts only",
        lambda: cast(Split, _named(path)(*arguments).chunks),
        lambda texts: [(None, text) for text in texts],
        "text",
    )


def chonkie(
    bound: int, tokenizer: Callable[[], Any] = lambda: "character", name: str = "", kind: str = "Recursive"
) -> Contender:
    """One of chonkie: the "Recursive" chunker, or the "Token" chunker, which is a sliding window."""

    def made() -> Split:
        return cast(Split, _named(f"chonkie:{kind}Chunker")(tokenizer(), chunk_size=bound).chunk)

    def pieces(chunks: Iterable[Any]) -> Pieces:
        return [(chunk.start_index, chunk.text) for chunk in chunks]

    return Contender(f"chonkie {kind}{name}", made, pieces, "start, end, text, tokens")


def chonkie_counting(bound: int, count: Count, encoding: Callable[[], Any]) -> Contender:
    """Chonkie's recursive chunker with a counter of tokens; what nothing separates it has to encode, too."""

    def tokenizer() -> Any:
        adapter, whole = _named("chonkie.tokenizer:CallableAutoTokenizer")(count), encoding()
        adapter.encode, adapter.decode_batch = whole.encode_ordinary, whole.decode_batch
        return adapter

    return chonkie(bound, tokenizer)


def semchunk(bound: int, count: Count = len) -> Contender:
    """Semchunk, with offsets."""

    def made() -> Split:
        # A function of its own each time: it remembers what each has counted.
        chunker = _named("semchunk:chunkerify")(lambda text: count(text), bound)
        return lambda text: chunker(text, offsets=True)

    def pieces(found: tuple[list[str], list[tuple[int, int]]]) -> Pieces:
        return [(start, text) for text, (start, _) in zip(*found, strict=True)]

    return Contender("semchunk", made, pieces, "start, end, text")


def _documents(documents: Iterable[Any]) -> Pieces:
    return [(one.metadata.get("start_index"), one.page_content) for one in documents]
