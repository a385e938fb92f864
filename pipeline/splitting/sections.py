"""Turns sections of a text into chunks: cut, pack, trim, and count what will be embedded."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from pipeline.model import Chunk, SplitterSpec
from pipeline.ports import TokenCounter
from pipeline.splitting.pack import pack, trim
from pipeline.splitting.pieces import Piece, Segment, cut


class Stretch(NamedTuple):
    """A stretch of text to keep whole where it fits."""

    start: int  # characters
    end: int
    is_heading: bool = False
    by_lines: bool = False  # whether lines, as in tables and code, are worth more than sentences


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a text that no chunk reaches out of."""

    stretches: tuple[Stretch, ...]
    heading_path: tuple[str, ...] = ()
    first_prefix: str = ""  # of the first chunk, whose text holds the section's own heading
    prefix: str = ""  # of later chunks
    prefix_tokens: int = 0  # the larger of both prefixes' counts


@dataclass(frozen=True, slots=True)
class _Draft:
    section: Section
    pieces: Sequence[Piece]
    chunk: Chunk  # not counted yet


def chunk_sections(
    text: str, sections: Sequence[Section], spec: SplitterSpec, counter: TokenCounter
) -> list[Chunk]:
    """Chunk every section; no embedded text exceeds spec.max_tokens, unless one grapheme does."""
    pieces = cut(text, list(_segments(text, sections, spec.max_tokens, counter)), counter)
    drafts: list[_Draft] = []
    for section in sections:
        own = [piece for _ in section.stretches for piece in next(pieces)]
        drafts.extend(_drafts(text, section, own, spec))
    return list(_apart(_counted(text, drafts, spec.max_tokens, counter)))


def _segments(
    text: str, sections: Sequence[Section], max_tokens: int, counter: TokenCounter
) -> Iterator[Segment]:
    """Give each stretch the section's bound; prose under a heading leaves room for the heading.

    It would otherwise fit by itself and leave a chunk that is nothing but the heading.
    """
    headings = [s for section in sections for s in section.stretches if s.is_heading]
    counts = counter.count([text[s.start : s.end] for s in headings]) if headings else []
    tokens = dict(zip(headings, counts, strict=True))
    for section in sections:
        bound, above = max_tokens - section.prefix_tokens, 0
        for stretch in section.stretches:
            room = bound if stretch.by_lines or above > bound // 2 else bound - above
            yield Segment(stretch.start, stretch.end, room, stretch.by_lines)
            above = above + tokens[stretch] if stretch.is_heading else 0


def _drafts(text: str, section: Section, pieces: list[Piece], spec: SplitterSpec) -> Iterator[_Draft]:
    bound = spec.max_tokens - section.prefix_tokens
    for number, (first, behind) in enumerate(pack(pieces, bound, spec.overlap_tokens)):
        prefix = section.prefix if number else section.first_prefix
        yield from _draft(text, section, prefix, pieces[first:behind])


def _draft(text: str, section: Section, prefix: str, pieces: Sequence[Piece]) -> Iterator[_Draft]:
    """Give the pieces' draft, none where they are blank."""
    start, end = trim(text, pieces[0].start, pieces[-1].end)
    if start < end:
        yield _Draft(section, pieces, Chunk(start, end, 0, section.heading_path, prefix))


def _counted(text: str, drafts: list[_Draft], max_tokens: int, counter: TokenCounter) -> Iterator[Chunk]:
    """Count each chunk as it will be embedded, and tighten those whose pieces added up to less.

    Pieces are counted one by one, and tokens can fall otherwise where pieces meet.
    """
    while drafts:
        counts = counter.count([draft.chunk.embedded(text) for draft in drafts])
        tight: list[_Draft] = []
        for draft, tokens in zip(drafts, counts, strict=True):
            tighter = list(_tighter(text, draft, counter)) if tokens > max_tokens else []
            tight.extend(tighter)
            if not tighter:
                yield replace(draft.chunk, tokens=tokens)
        drafts = tight


def _tighter(text: str, draft: _Draft, counter: TokenCounter) -> Iterator[_Draft]:
    """Halve a draft; a single grapheme goes without its prefix, and nothing is left to try after that."""
    section, prefix, pieces = draft.section, draft.chunk.prefix, draft.pieces
    if len(pieces) == 1:
        whole = pieces[0]
        segment = Segment(whole.start, whole.end, max(1, whole.tokens // 2))
        pieces = next(cut(text, [segment], counter))
    if len(pieces) > 1:
        middle = len(pieces) // 2
        yield from _draft(text, section, prefix, pieces[:middle])
        yield from _draft(text, section, section.prefix, pieces[middle:])
    elif prefix:
        yield from _draft(text, section, "", pieces)


def _apart(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """Put chunks in order, without those within another: halves of an overlapping run can be."""
    reached = 0
    for chunk in sorted(chunks, key=lambda chunk: (chunk.start, -chunk.end)):
        if chunk.end > reached:
            yield chunk
            reached = chunk.end
