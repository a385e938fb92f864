"""The Markdown splitter: sections by headings, tables and fences whole where they fit."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pipeline.model import Chunk, SplitterSpec
from pipeline.ports import TokenCounter
from pipeline.splitting.blocks import Block, read_blocks
from pipeline.splitting.sections import Section, Stretch, chunk_sections

_BY_LINES = frozenset({"table", "fence", "code", "html", "front matter"})


@dataclass(slots=True)
class _Outline:
    """A section as it is read: its headings, and the stretches under them."""

    above: tuple[str, ...] = ()  # headings over the section, outermost first
    own: list[str] = field(default_factory=list)  # the section's own headings, in its text
    blocks: list[Block] = field(default_factory=list)

    @property
    def only_headings(self) -> bool:
        """Whether nothing but headings has been read."""
        return all(block.kind == "heading" for block in self.blocks)


@dataclass(frozen=True, slots=True)
class MarkdownSplitter:
    """Cuts Markdown along its structure; plain text is one section without a heading."""

    spec: SplitterSpec
    counter: TokenCounter

    def split(self, text: str) -> list[Chunk]:
        """Cut a text into chunks of at most `spec.max_tokens` tokens, headings in front included."""
        sections = [_section(outline) for outline in _outlines(text)]
        if self.spec.prefix_headings:
            sections = self._prefixed(sections)
        else:
            sections = [replace(section, first_prefix="", prefix="") for section in sections]
        return chunk_sections(text, sections, self.spec, self.counter)

    def _prefixed(self, sections: Sequence[Section]) -> list[Section]:
        """Count the sections' prefixes, and drop those that would leave too little for the text."""
        prefixes = sorted({p for s in sections for p in (s.first_prefix, s.prefix) if p})
        tokens = dict(zip(prefixes, self.counter.count(prefixes) if prefixes else (), strict=True))
        tokens[""] = 0
        bounded = []
        for section in sections:
            first, later = (
                prefix if tokens[prefix] <= self.spec.max_tokens // 4 else ""
                for prefix in (section.first_prefix, section.prefix)
            )
            most = max(tokens[first], tokens[later])
            bounded.append(replace(section, first_prefix=first, prefix=later, prefix_tokens=most))
        return bounded


def _outlines(text: str) -> list[_Outline]:
    """Group blocks under their headings.

    A heading followed by nothing but a deeper heading joins that one's section, since a chunk of
    nothing but a heading says little.
    """
    stack: list[tuple[int, str]] = []
    outlines = [_Outline()]
    for block in read_blocks(text):
        current = outlines[-1]
        if block.kind == "heading":
            deeper = bool(stack) and block.level > stack[-1][0]
            while stack and stack[-1][0] >= block.level:
                stack.pop()
            if not (current.only_headings and (deeper or not current.blocks)):
                current = _Outline(above=tuple(title for _, title in stack))
                outlines.append(current)
            stack.append((block.level, block.title))
            current.own.append(block.title)
        current.blocks.append(block)
    return [outline for outline in outlines if outline.blocks]


def _section(outline: _Outline) -> Section:
    path = tuple(title for title in (*outline.above, *outline.own) if title)
    return Section(
        stretches=tuple(
            Stretch(block.start, block.end, block.kind == "heading", block.kind in _BY_LINES)
            for block in outline.blocks
        ),
        heading_path=path,
        first_prefix=_prefix(outline.above),
        prefix=_prefix(path),
    )


def _prefix(headings: Sequence[str]) -> str:
    shown = " > ".join(title for title in headings if title)
    return f"{shown}\n\n" if shown else ""
