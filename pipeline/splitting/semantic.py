"""The semantic splitter: cuts where the topic changes, as the sentences' vectors tell."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice, pairwise
from operator import attrgetter

import numpy as np

from pipeline.model import Chunk
from pipeline.ports import TokenCounter, Vectors
from pipeline.splitter_spec import SplitterSpec
from pipeline.splitting.breakpoints import Ints, Units, centred, segments
from pipeline.splitting.prose import SENTENCE, inside_grapheme, plain_lines, skip_space
from pipeline.splitting.sections import Section, chunk_sections

Embed = Callable[[Sequence[str]], Vectors]
"""Gives float32[n, d] for n texts, each of length 1; zeros for a text that has no vector."""

# A line's end ends a sentence, unless the next line goes on with it: in a small letter, or, behind a line
# as long as wrapped ones are, with a word. Some texts have spaces before their full stops.
_END = re.compile(
    SENTENCE.pattern
    + r"|(?<=\s)\.\s++"
    + r"|\n(?![ \t]*+[a-z])(?:(?<![^\n]{50}\n)|(?![ \t]*+[A-Za-z(\[`\"']))\s*+"
)
_HEADING = re.compile(r"#{1,6}[ \t]")

_AT_ONCE = 4096  # sentences whose vectors are held, and set against each other, at once
_FINEST = 512  # sentences are taken together to units of at least this fraction of the bound


@dataclass(frozen=True, slots=True)
class SemanticSplitter:
    """Cuts plain text or Markdown, English or Japanese, between sentences that its vectors tell apart."""

    spec: SplitterSpec
    counter: TokenCounter
    embed: Embed

    def split(self, text: str) -> list[Chunk]:
        """Cut a text; each of its characters is embedded once, in the sentence that holds it."""
        return self.join(text, sentences_of(text, self.spec, self.counter))

    def join(self, text: str, sentences: Sequence[Chunk]) -> list[Chunk]:
        """Join a text's sentences to chunks."""
        alone: list[Chunk] = []
        sections: list[Section] = []
        for segment in self._segments(text, sentences):
            if len(segment) == 1:
                alone.append(segment[0])  # it is counted, and keeps to the bound
            else:
                sections.append(Section(segment[0].start, segment[-1].end))
        joined = chunk_sections(text, sections, self.spec, self.counter) if sections else []
        return sorted([*alone, *joined], key=attrgetter("start"))

    def _segments(self, text: str, sentences: Sequence[Chunk]) -> Iterator[Sequence[Chunk]]:
        """Stretch by stretch: the last segment of one is segmented again with the next."""
        begin = 0
        vectors: list[Vectors] = []
        for at in range(0, len(sentences), _AT_ONCE):
            batch = sentences[at : at + _AT_ONCE]
            vectors.append(self.embed([text[one.start : one.end] for one in batch]))
            known, end = np.concatenate(vectors), at + len(batch)
            starts = [begin + one for one in self._starts(text, sentences[begin:end], known)]
            if end < len(sentences) and len(starts) > 1:
                end = starts.pop()
            for start, stop in zip(starts, [*starts[1:], end], strict=True):
                yield sentences[start:stop]
            vectors, begin = [known[end - begin :]], end

    def _starts(self, text: str, sentences: Sequence[Chunk], vectors: Vectors) -> list[int]:
        """The first sentence of each segment."""
        first, units = _units(text, sentences, vectors, self.spec)
        return [first[unit] for unit in segments(units, self.spec)]


def sentences_of(text: str, spec: SplitterSpec, counter: TokenCounter) -> list[Chunk]:
    """The sentences of a text; one that exceeds the bound is cut like any other text."""
    found: list[Chunk] = []
    long: list[Section] = []
    spans = _spans(plain_lines(text))
    while batch := list(islice(spans, _AT_ONCE)):
        counts = counter.count([text[start:end] for start, end in batch])
        for (start, end), tokens in zip(batch, counts, strict=True):
            size = tokens if spec.max_characters is None else end - start
            if size > spec.bound:
                long.append(Section(start, end))
            else:
                found.append(Chunk(start, end, tokens))
    if long:
        bare = replace(spec, overlap_tokens=0, overlap_characters=0)
        found = sorted([*found, *chunk_sections(text, long, bare, counter)], key=attrgetter("start"))
    return found


def _spans(scan: str) -> Iterator[tuple[int, int]]:
    """Where sentences start and end, without the white space around them."""
    start = 0
    for match in chain(_END.finditer(scan), (None,)):
        end = match.end() if match else len(scan)
        if inside_grapheme(scan, end):
            continue
        stop = start + len(scan[start:end].rstrip())
        if start < stop:
            yield skip_space(scan, start, stop), stop
        start = end


def _units(
    text: str, sentences: Sequence[Chunk], vectors: Vectors, spec: SplitterSpec
) -> tuple[list[int], Units]:
    """Take sentences together that no break is to come between; gives the first sentence of each unit.

    They are those without a vector and what stands before, headings and what follows, and those so short
    that a chunk could hold hundreds of them: what is weighed for each would grow with that number.
    """
    there = np.asarray(vectors.any(axis=1))
    starts, ends = _measured(text, sentences, spec)
    first: list[int] = []
    begun, size, known, glued = 0, 0, False, False
    for number, (begin, end, knows) in enumerate(
        zip(starts.tolist(), ends.tolist(), there.tolist(), strict=True)
    ):
        if not first or size > spec.bound // 4 or (known and knows and not glued):
            first.append(number)
            begun, known = begin, False
        size, known = end - begun, known or knows
        glued = size < spec.bound // _FINEST or bool(_HEADING.match(text, sentences[number].start))
    return first, Units(
        np.add.reduceat(centred(vectors), first),
        np.add.reduceat(there.astype(np.int64), first),
        starts[first],
        ends[[*(one - 1 for one in first[1:]), len(sentences) - 1]],
        np.add.reduceat(np.array([sentence.tokens for sentence in sentences]), first),
    )


def _measured(text: str, sentences: Sequence[Chunk], spec: SplitterSpec) -> tuple[Ints, Ints]:
    """Where sentences start and end, in the bound's unit; a line's end between two of them is a token."""
    starts = np.array([one.start for one in sentences], np.int64)
    ends = np.array([one.end for one in sentences], np.int64)
    if spec.max_characters is not None:
        return starts, ends
    tokens = np.array([one.tokens for one in sentences], np.int64)
    gaps = [text.count("\n", one.end, other.start) for one, other in pairwise(sentences)]
    behind = np.cumsum(tokens + np.array([0, *gaps]))
    return behind - tokens, behind
