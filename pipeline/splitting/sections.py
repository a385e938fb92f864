"""Turns sections of a text into chunks: cut to the bound, and count what will be embedded."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from pipeline.model import Chunk, SplitterSpec
from pipeline.ports import TokenCounter
from pipeline.splitting.prose import PROSE, Style, plain_lines
from pipeline.splitting.rulers import Characters, Ruler, Tokens
from pipeline.splitting.structure import Whole
from pipeline.splitting.windows import Bounds, Span, Windows

_COUNTED_AT_ONCE = 2048  # chunks: a large text is never held twice


class Section(NamedTuple):
    """A part of a text that no chunk reaches out of."""

    start: int  # characters
    end: int
    heading_path: tuple[str, ...] = ()
    first_prefix: str = ""  # of the first chunk, whose text holds the section's own heading
    prefix: str = ""  # of later chunks
    wholes: tuple[Whole, ...] = ()  # what is kept whole where it fits, in order
    body: int = 0  # where what stands under the section's heading begins; no chunk ends before it


class _Draft(NamedTuple):
    """A chunk that is not counted yet."""

    start: int
    end: int
    prefix: str
    section: Section


def chunk_sections(
    text: str, sections: Iterable[Section], spec: SplitterSpec, counter: TokenCounter, style: Style = PROSE
) -> list[Chunk]:
    """Chunk every section; no embedded text exceeds the spec's bound, unless one grapheme does."""
    cutter = Cutter(text, spec, ruler_for(text, spec, counter), style)
    return list(_apart(_counted(cutter, cutter.drafts(sections), counter, spec)))


def span_sections(
    text: str, sections: Iterable[Section], spec: SplitterSpec, counter: TokenCounter, style: Style = PROSE
) -> list[Span]:
    """The spans of all sections' chunks, whose tokens are not counted: exact where characters are the bound."""
    cutter = Cutter(text, spec, ruler_for(text, spec, counter), style)
    return [span for _, _, spans in cutter.spans(sections) for span in spans]


def ruler_for(text: str, spec: SplitterSpec, counter: TokenCounter) -> Ruler:
    """What a spec's bound is measured with."""
    return Tokens(text, counter) if spec.max_characters is None else Characters()


class Cutter:
    """Cuts the sections of one text."""

    def __init__(self, text: str, spec: SplitterSpec, ruler: Ruler, style: Style) -> None:
        self.text = text
        self._spec = spec
        self._ruler = ruler
        # What prefixes and headers measure; those that would leave too little for the text are not here.
        self._costs: dict[str, int] = {"": 0}
        self._windows = Windows(text, plain_lines(text), ruler, style, self._costs)

    def drafts(self, sections: Iterable[Section]) -> Iterator[_Draft]:
        """The chunks to count."""
        for section, prefix, spans in self.spans(sections):
            for start, end in spans:
                header = self._header(section, start) if section.wholes else ""
                yield _Draft(start, end, prefix + header, section)
                prefix = self._kept(section.prefix)

    def spans(self, sections: Iterable[Section]) -> Iterator[tuple[Section, str, list[Span]]]:
        """Cut each section in windows; gives the prefix of its first chunk, too."""
        bound, overlap, costs, cut = self._spec.bound, self._spec.overlap, self._costs, self._windows.cut
        sections = list(sections)
        self._measure(sections)
        for section in sections:
            start, end, _, first, later, wholes, body = section
            if first not in costs:
                first = ""
            bounds = Bounds(bound - costs[first], bound - costs.get(later, 0), overlap)
            yield section, first, cut(start, end, bounds, wholes, body)

    def tighter(self, draft: _Draft, over: int) -> list[_Draft]:
        """Cut a draft that turned out to be `over` its bound; nothing where it cannot be cut."""
        section, room = draft.section, self._spec.bound - self._ruler.sizes([draft.prefix])[0]
        bound = min(room - over, room - 1)
        while True:
            spans = self._windows.cut(draft.start, draft.end, Bounds(bound, bound))
            if len(spans) > 1 or bound <= 0:
                break
            bound = bound * 3 // 4 if bound > 1 else 0
        if len(spans) == 1:  # a single grapheme goes without its prefix, and nothing is left to try after that
            return [draft._replace(prefix="")] if draft.prefix else []
        later = self._kept(section.prefix)
        return [
            _Draft(start, end, later + self._header(section, start) if number else draft.prefix, section)
            for number, (start, end) in enumerate(spans)
        ]

    def _measure(self, sections: Sequence[Section]) -> None:
        texts: set[str] = set()
        for section in sections:
            if section.prefix or section.first_prefix:
                texts |= {section.first_prefix, section.prefix}
            if section.wholes:
                texts |= {whole.header for whole in section.wholes}
        texts -= self._costs.keys()
        if not texts:
            return
        ordered, most = sorted(texts), self._spec.bound // 4
        sizes = self._ruler.sizes(ordered)
        self._costs |= {text: size for text, size in zip(ordered, sizes, strict=True) if size <= most}

    def _kept(self, prefix: str) -> str:
        return prefix if prefix in self._costs else ""

    def _header(self, section: Section, start: int) -> str:
        """The header of the whole that a chunk begins within."""
        wholes = section.wholes
        number = bisect_right(wholes, start, key=lambda whole: whole.start) - 1
        if number < 0 or not wholes[number].start < start < wholes[number].end:
            return ""
        return self._kept(wholes[number].header)


def _counted(cutter: Cutter, drafts: Iterator[_Draft], counter: TokenCounter, spec: SplitterSpec) -> Iterator[Chunk]:
    """Count each chunk as it will be embedded, and tighten those that measure more than was told.

    Lines are counted one by one, and tokens can fall otherwise where a chunk begins and ends.
    """
    text = cutter.text
    while batch := list(islice(drafts, _COUNTED_AT_ONCE)):
        while batch:
            embedded = [draft.prefix + text[draft.start : draft.end] for draft in batch]
            counts = counter.count(embedded)
            sizes = counts if spec.max_characters is None else [len(one) for one in embedded]
            tight: list[_Draft] = []
            for draft, tokens, size in zip(batch, counts, sizes, strict=True):
                tighter = cutter.tighter(draft, size - spec.bound) if size > spec.bound else []
                tight += tighter
                if not tighter:
                    yield Chunk(draft.start, draft.end, tokens, draft.section.heading_path, draft.prefix)
            batch = tight


def _apart(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """Put chunks in order, without those within another: parts of an overlapping chunk can be."""
    reached = 0
    for chunk in sorted(chunks, key=lambda chunk: (chunk.start, -chunk.end)):
        if chunk.end > reached:
            yield chunk
            reached = chunk.end
