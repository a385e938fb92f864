"""The splitters of plain text: recursive, sentence and fixed."""

from dataclasses import dataclass
from typing import ClassVar

from pipeline.model import Chunk
from pipeline.ports import TokenCounter
from pipeline.splitter_spec import SplitterSpec
from pipeline.splitting.collector import Uncollected
from pipeline.splitting.parts import spans_in_parts
from pipeline.splitting.prose import FIXED, PROSE, SENTENCES, Style, plain_lines
from pipeline.splitting.rulers import counted
from pipeline.splitting.sections import Section, chunk_sections, ruler_for
from pipeline.splitting.separators import SeparatorSplitter
from pipeline.splitting.windows import Bounds, Span, Windows


@dataclass(frozen=True, slots=True)
class TextSplitter:
    """Cuts plain text, English or Japanese, at the strongest boundaries of its style within the bound."""

    spec: SplitterSpec
    counter: TokenCounter
    style: ClassVar[Style]

    def split(self, text: str) -> list[Chunk]:
        """Cut a text; it is one section without headings."""
        with Uncollected(text):
            if self._is_local():
                return counted(text, self.spans(text), self.counter)
            return chunk_sections(text, [Section(0, len(text))], self.spec, self.counter, self.style)

    def spans(self, text: str) -> list[Span]:
        """The chunks' spans alone, their tokens not counted; exact where characters are the bound."""
        bound, overlap = self.spec.bound, self.spec.overlap
        with Uncollected(text):
            if self._is_local():
                return spans_in_parts(text, self.style, bound)
            windows = Windows(text, plain_lines(text), ruler_for(text, self.spec, self.counter), self.style)
            return windows.cut(0, len(text), Bounds(bound, bound, overlap))

    def _is_local(self) -> bool:
        """Whether where a chunk ends can be told from what is around it alone."""
        return self.spec.max_characters is not None and not self.spec.overlap


class ProseSplitter(TextSplitter):
    """Paragraphs, then items, sentences, clauses, words, graphemes."""

    style = PROSE


class SentenceSplitter(TextSplitter):
    """As many whole sentences as fit, whatever paragraphs they stand in."""

    style = SENTENCES


class FixedSplitter(TextSplitter):
    """A sliding window: as much as fits, wherever that ends."""

    style = FIXED


def recursive_splitter(spec: SplitterSpec, counter: TokenCounter) -> ProseSplitter | SeparatorSplitter:
    """The recursive splitter: over its own separators, or over those that the spec names."""
    if spec.separators or spec.langchain:
        return SeparatorSplitter(spec, counter)
    return ProseSplitter(spec, counter)
