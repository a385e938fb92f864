"""Turns sections of a text into chunks: cut, pack, trim, and count what will be embedded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pipeline.model import Chunk, SplitterSpec
from pipeline.ports import TokenCounter
from pipeline.splitting.pack import pack, trim
from pipeline.splitting.pieces import BLOCK, Piece, Segment, cut


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of text that no chunk reaches out of."""

    blocks: tuple[tuple[int, int], ...]  # (start, end) of stretches to keep whole where they fit
    heading_path: tuple[str, ...] = ()
    first_prefix: str = ""  # of the first chunk, whose text holds the section's own heading
    prefix: str = ""  # of later chunks
    prefix_tokens: int = 0  # the larger of both prefixes' counts


@dataclass(frozen=True, slots=True)
class _Draft:
    chunk: Chunk
    pieces: Sequence[Piece]
    bound: int


def chunk_sections(
    text: str, sections: Sequence[Section], spec: SplitterSpec, counter: TokenCounter
) -> list[Chunk]:
    """Chunk every section; no embedded text exceeds spec.max_tokens, unless one grapheme does."""
    segments = [
        Segment(start, end, BLOCK, spec.max_tokens - section.prefix_tokens)
        for section in sections
        for start, end in section.blocks
    ]
    pieces = cut(text, segments, counter)
    drafts: list[_Draft] = []
    for section in sections:
        own = [piece for _ in section.blocks for piece in next(pieces)]
        drafts.extend(_drafts(text, section, own, spec))
    return _counted(text, drafts, spec.max_tokens, counter)


def _drafts(text: str, section: Section, pieces: list[Piece], spec: SplitterSpec) -> Iterator[_Draft]:
    bound = spec.max_tokens - section.prefix_tokens
    for number, (first, behind) in enumerate(pack(pieces, bound, spec.overlap_tokens)):
        prefix = section.prefix if number else section.first_prefix
        draft = _draft(text, section.heading_path, prefix, pieces[first:behind], bound)
        if draft:
            yield draft


def _draft(
    text: str, path: tuple[str, ...], prefix: str, pieces: Sequence[Piece], bound: int
) -> _Draft | None:
    start, end = trim(text, pieces[0].start, pieces[-1].end)
    return _Draft(Chunk(start, end, 0, path, prefix), pieces, bound) if start < end else None


def _counted(text: str, drafts: list[_Draft], max_tokens: int, counter: TokenCounter) -> list[Chunk]:
    """Count each chunk as it will be embedded, and halve those whose pieces added up to less.

    Pieces are counted one by one, and tokens can fall otherwise where pieces meet.
    """
    chunks: list[Chunk] = []
    while drafts:
        counts = counter.count([draft.chunk.embedded(text) for draft in drafts])
        tight: list[_Draft] = []
        for draft, tokens in zip(drafts, counts, strict=True):
            halves = list(_halves(text, draft, counter)) if tokens > max_tokens else []
            if len(halves) > 1:
                tight.extend(halves)
            else:
                chunks.append(replace(draft.chunk, tokens=tokens))
        drafts = tight
    return sorted(chunks, key=lambda chunk: (chunk.start, chunk.end))


def _halves(text: str, draft: _Draft, counter: TokenCounter) -> Iterator[_Draft]:
    pieces, bound = draft.pieces, draft.bound
    if len(pieces) == 1:
        bound = max(1, bound // 2)
        segment = Segment(pieces[0].start, pieces[0].end, pieces[0].strength, bound)
        pieces = next(cut(text, [segment], counter))
    if len(pieces) == 1:
        return
    middle = len(pieces) // 2
    for half in (pieces[:middle], pieces[middle:]):
        drafted = _draft(text, draft.chunk.heading_path, draft.chunk.prefix, half, bound)
        if drafted:
            yield drafted
