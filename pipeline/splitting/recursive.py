"""The recursive splitter: paragraphs, then items, sentences, lines, clauses, words, graphemes."""

from dataclasses import dataclass

from pipeline.model import Chunk, SplitterSpec
from pipeline.ports import TokenCounter
from pipeline.splitting.sections import Section, Stretch, chunk_sections


@dataclass(frozen=True, slots=True)
class RecursiveSplitter:
    """Cuts plain text, English or Japanese, at the coarsest boundaries that fit."""

    spec: SplitterSpec
    counter: TokenCounter

    def split(self, text: str) -> list[Chunk]:
        """Cut a text into chunks of at most `spec.max_tokens` tokens."""
        return chunk_sections(text, [Section((Stretch(0, len(text)),))], self.spec, self.counter)
