"""Turns sections of a text into chunks: cut to the bound, and count what will be embedded."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from pipeline.model import Chunk
from pipeline.ports import TokenCounter
from pipeline.splitter_spec import SplitterSpec
from pipeline.splitting.prose import PROSE, Style, plain_lines, skip_space
from pipeline.splitting.rulers import Characters, Ruler, Tokens
from pipeline.splitting.structure import Whole
from pipeline.splitting.windows import Bounds, Span, Windows, without_space

_COUNTED_AT_ONCE = 2048  # chunks: a large text is never held twice


class Section:
    """A part of a text that no chunk reaches out of; a plain class, since those are made quickest."""

    __slots__ = ("body", "end", "first_prefix", "heading_path", "kin", "prefix", "start", "wholes")

    def __init__(
        self,
        start: int,
        end: int,
        heading_path: tuple[str, ...] = (),
        first_prefix: str = "",
        prefix: str = "",
        wholes: tuple[Whole, ...] = (),
        body: int = 0,
        kin: tuple[int, bool] = (0, True),
    ) -> None:
        self.start = start  # characters
        self.end = end
        self.heading_path = heading_path
        self.first_prefix = first_prefix  # of the first chunk, whose text holds the section's own heading
        self.prefix = prefix  # of later chunks
        self.wholes = wholes  # what is kept whole where it fits, in order
        self.body = body  # where what is under the section's heading begins; no chunk ends before it
        self.kin = kin  # the chapter that it is in, and whether the chapter begins with it

    def under(self, path: tuple[str, ...]) -> "Section":
        """The same part of the text under other headings."""
        return Section(
            self.start, self.end, path, self.first_prefix, self.prefix, self.wholes, self.body, self.kin
        )


_Draft = tuple[int, int, str, Section]
"""A chunk that is not counted yet: its start and end, its prefix, and its section."""


def chunk_sections(
    text: str, sections: Iterable[Section], spec: SplitterSpec, counter: TokenCounter, style: Style = PROSE
) -> list[Chunk]:
    """Chunk every section; no embedded text exceeds the spec's bound, unless one grapheme does."""
    return cut_sections(Cutter(text, spec, ruler_for(text, spec, counter), style), sections, counter)


def cut_sections(cutter: "Cutter", sections: Iterable[Section], counter: TokenCounter) -> list[Chunk]:
    """Chunk every section of the cutter's text; see `chunk_sections`."""
    chunks = _counted(cutter, cutter.drafts(sections), counter)
    return list(_in_order(chunks) if cutter.spec.overlap else chunks)


def span_sections(cutter: "Cutter", sections: Iterable[Section]) -> list[Span]:
    """The spans of all sections' chunks, their tokens not counted; exact where characters are the bound."""
    origin = cutter.origin
    if cutter.spec.join_sections:
        return [(origin + draft[0], origin + draft[1]) for draft in cutter.drafts(sections)]
    found = cutter.spans(sections)
    return [(origin + start, origin + end) for _, _, spans in found for start, end in spans]


def ruler_for(text: str, spec: SplitterSpec, counter: TokenCounter) -> Ruler:
    """What a spec's bound is measured with."""
    return Tokens(text, counter) if spec.max_characters is None else Characters()


class Cutter:
    """Cuts the sections of one text.

    `scan` is what the style finds boundaries in, as long as the text; None: the text with plain line ends.
    `origin` is where the text starts in the one that chunks are of.
    """

    def __init__(
        self,
        text: str,
        spec: SplitterSpec,
        ruler: Ruler,
        style: Style,
        scan: str | None = None,
        origin: int = 0,
    ) -> None:
        self.text = text
        self.origin = origin
        self.spec = spec
        self._ruler = ruler
        # What prefixes and headers measure; those that would leave too little for the text are not here.
        self._costs: dict[str, int] = {"": 0}
        self.scan = plain_lines(text) if scan is None else scan
        self._windows = Windows(text, self.scan, ruler, style, self._costs)

    def drafts(self, sections: Iterable[Section]) -> Iterator[_Draft]:
        """The chunks to count."""
        return self._joined(sections) if self.spec.join_sections else self._apart(sections)

    def _apart(self, sections: Iterable[Section]) -> Iterator[_Draft]:
        for section, prefix, spans in self.spans(sections):
            for start, end in spans:
                header = self._header(section, start) if section.wholes else ""
                yield start, end, prefix + header, section
                prefix = self._kept(section.prefix)

    def _joined(self, sections: Iterable[Section]) -> Iterator[_Draft]:
        """Pack neighbours under one parent together where the bound holds them."""
        bound, fits, costs = self.spec.bound, self._ruler.fits, self._costs
        held: Section | None = None  # the first of those that are packed together, from start to end
        start, end, room, chapter, opens, prefix = 0, 0, 0, 0, True, ""
        path: tuple[str, ...] = ()

        def joined(held: Section) -> _Draft:
            return start, end, prefix, held if path is held.heading_path else held.under(path)

        for section, first, spans in self.spans(sections):
            for begins, ends in spans:
                # Whole chapters are neighbours under the document; what is left of one is not.
                if held and (chapter == section.kin[0] or opens) and fits(start, ends, room):
                    end = ends
                    if path is not section.heading_path:
                        path = _common(path, section.heading_path)
                    continue
                if held:
                    yield joined(held)
                is_first = begins == spans[0][0]
                prefix = first if is_first else self._kept(section.prefix)
                if section.wholes:
                    prefix += self._header(section, begins)
                held, start, end, room = section, begins, ends, bound - costs.get(prefix, bound)
                chapter, opens, path = section.kin[0], section.kin[1] and is_first, section.heading_path
        if held:
            yield joined(held)

    def spans(self, sections: Iterable[Section]) -> Iterator[tuple[Section, str, list[Span]]]:
        """Cut each section in windows; gives the prefix of its first chunk, too."""
        bound, overlap, costs = self.spec.bound, self.spec.overlap, self._costs
        scan, fits, cut = self.scan, self._ruler.fits, self._windows.cut
        exact = isinstance(self._ruler, Characters)
        sections = list(sections)
        self._measure(sections)
        for section in sections:
            start, end = section.start, section.end
            first = section.first_prefix if section.first_prefix in costs else ""
            room = bound - costs[first]
            if (
                end - start <= room if exact else fits(start, end, room)
            ):  # most sections fit, and need no windows
                stop = without_space(scan, start, end)
                start = skip_space(scan, start, stop)
                yield section, first, [(start, stop)] if start < stop else []
                continue
            bounds = Bounds(room, bound - costs.get(section.prefix, 0), overlap)
            yield section, first, cut(start, end, bounds, section.wholes, section.body)

    def tighter(self, draft: _Draft, over: int) -> list[_Draft]:
        """Cut a draft that turned out to be `over` its bound; nothing where it cannot be cut."""
        start, end, prefix, section = draft
        room = self.spec.bound - self._ruler.sizes([prefix])[0]
        bound = min(room - over, room - 1)
        while True:
            spans = self._windows.cut(start, end, Bounds(bound, bound), section.wholes)
            if len(spans) > 1 or bound <= 0:
                break
            bound = bound * 3 // 4 if bound > 1 else 0
        if (
            len(spans) == 1
        ):  # a single grapheme goes without its prefix, and nothing is left to try after that
            return [(start, end, "", section)] if prefix else []
        later = self._kept(section.prefix)
        return [
            (start, end, later + self._header(section, start) if number else prefix, section)
            for number, (start, end) in enumerate(spans)
        ]

    def tokens(self, drafts: Sequence[_Draft], counter: TokenCounter) -> list[int]:
        """The tokens of what will be embedded; what the ruler can tell is not counted again."""
        told = self._ruler.told if isinstance(self._ruler, Tokens) else lambda *_: None
        found = [told(start, end, prefix) for start, end, prefix, _ in drafts]
        unknown = [draft for draft, tokens in zip(drafts, found, strict=True) if tokens is None]
        counts = iter(counter.count([prefix + self.text[start:end] for start, end, prefix, _ in unknown]))
        return [next(counts) if tokens is None else tokens for tokens in found]

    def _measure(self, sections: Sequence[Section]) -> None:
        texts: set[str] = set()
        for section in sections:
            if section.prefix or section.first_prefix:
                texts |= {section.first_prefix, section.prefix}
            if section.wholes:
                texts |= {header for _, _, header in section.wholes}
        texts -= self._costs.keys()
        if not texts:
            return
        ordered, most = sorted(texts), self.spec.bound // 4
        sizes = self._ruler.sizes(ordered)
        self._costs |= {text: size for text, size in zip(ordered, sizes, strict=True) if size <= most}

    def _kept(self, prefix: str) -> str:
        return prefix if prefix in self._costs else ""

    def _header(self, section: Section, start: int) -> str:
        """The header of the whole that a chunk begins within."""
        number = bisect_left(section.wholes, (start,)) - 1
        if number < 0 or section.wholes[number][1] <= start:
            return ""
        return self._kept(section.wholes[number][2])


def _counted(cutter: Cutter, drafts: Iterator[_Draft], counter: TokenCounter) -> Iterator[Chunk]:
    """Count each chunk as it will be embedded, and tighten those that are over the bound with their prefix.

    Tokens can fall otherwise where a prefix meets the text.
    """
    origin, bound, in_tokens = cutter.origin, cutter.spec.bound, cutter.spec.max_characters is None
    while batch := list(islice(drafts, _COUNTED_AT_ONCE)):
        for draft, tokens in zip(batch, cutter.tokens(batch, counter), strict=True):
            start, end, prefix, section = draft
            size = tokens if in_tokens else len(prefix) + end - start
            tighter = cutter.tighter(draft, size - bound) if size > bound else None
            if tighter:
                yield from _counted(cutter, iter(tighter), counter)
            else:
                yield Chunk(origin + start, origin + end, tokens, section.heading_path, prefix)


def _common(path: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    """The headings that two paths share from the top."""
    shared = 0
    for one, two in zip(path, other, strict=False):
        if one != two:
            break
        shared += 1
    return path[:shared]


def _in_order(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """Put chunks in order, without those within another: parts of an overlapping chunk can be."""
    reached = 0
    for chunk in sorted(chunks, key=lambda chunk: (chunk.start, -chunk.end)):
        if chunk.end > reached:
            yield chunk
            reached = chunk.end
