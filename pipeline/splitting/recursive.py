"""The splitters of plain text: recursive, sentence and fixed."""

from dataclasses import dataclass
from typing import ClassVar

from pipeline.model import Chunk, SplitterSpec
from pipeline.ports import TokenCounter
from pipeline.splitting.prose import FIXED, PROSE, SENTENCES, Style, plain_lines
from pipeline.splitting.sections import Section, chunk_sections, ruler_for
from pipeline.splitting.separators import LANGCHAIN, SeparatorCutter, Separators
from pipeline.splitting.windows import Bounds, Span, Windows


@dataclass(frozen=True, slots=True)
class TextSplitter:
    """Cuts plain text, English or Japanese, at the strongest boundaries of its style within the bound."""

    spec: SplitterSpec
    counter: TokenCounter
    style: ClassVar[Style]

    def split(self, text: str) -> list[Chunk]:
        """Cut a text; it is one section without headings."""
        return chunk_sections(text, [Section(0, len(text))], self.spec, self.counter, self.style)

    def spans(self, text: str) -> list[Span]:
        """The chunks' spans alone, their tokens not counted; exact where characters are the bound."""
        windows = Windows(text, plain_lines(text), ruler_for(text, self.spec, self.counter), self.style)
        bound, overlap = self.spec.bound, self.spec.overlap
        return windows.cut(0, len(text), Bounds(bound, bound, overlap))


class ProseSplitter(TextSplitter):
    """Paragraphs, then items, sentences, clauses, words, graphemes."""

    style = PROSE


class SentenceSplitter(TextSplitter):
    """As many whole sentences as fit, whatever paragraphs they stand in."""

    style = SENTENCES


class FixedSplitter(TextSplitter):
    """A sliding window: as much as fits, wherever that ends."""

    style = FIXED


class SeparatorSplitter:
    """Cuts plain text at separators of one's own, or as LangChain does."""

    def __init__(self, spec: SplitterSpec, counter: TokenCounter) -> None:
        self._counter = counter
        patterns = spec.separators or LANGCHAIN
        separators = Separators(patterns, spec.separators_are_regex, spec.keep_separator)
        own = counter if spec.max_characters is None else None
        self._cutter = SeparatorCutter(separators, spec.bound, spec.overlap, own, langchain=spec.langchain)

    def split(self, text: str) -> list[Chunk]:
        """Cut a text; LangChain's chunks can exceed the bound where no separator is left to cut at."""
        spans = self.spans(text)
        counts = self._counter.count([text[start:end] for start, end in spans])
        return [Chunk(start, end, tokens) for (start, end), tokens in zip(spans, counts, strict=True)]

    def spans(self, text: str) -> list[Span]:
        """The chunks' spans alone, their tokens not counted."""
        return self._cutter.spans(text)


def recursive_splitter(spec: SplitterSpec, counter: TokenCounter) -> ProseSplitter | SeparatorSplitter:
    """The recursive splitter: over its own separators, or over those that the spec names."""
    if spec.separators or spec.langchain:
        return SeparatorSplitter(spec, counter)
    return ProseSplitter(spec, counter)
