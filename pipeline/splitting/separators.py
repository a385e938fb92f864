"""Separators of one's own, coarse to fine, and LangChain's way with them; always as spans of the text.

A stretch is cut into pieces at the first separator that stands in it. As many whole pieces as fit make a
chunk; a piece that is too long by itself is cut in the same way at the finer separators. A chunk is found
in one step, by the last end of a piece within reach, so that work grows with the text.

LangChain's algorithm is that of its RecursiveCharacterTextSplitter and CharacterTextSplitter, 1.1.3. Where
it drops separators it joins the pieces anew, and its chunk need not be a slice of the text: here it always
is one, and is measured as one. Chunks of nothing but white space are left out.
"""

from itertools import islice
from typing import Protocol

from pipeline.model import Chunk
from pipeline.ports import TokenCounter
from pipeline.splitter_spec import SplitterSpec
from pipeline.splitting.levels import LANGCHAIN, Separators, counted_levels, langchain_levels, own_levels
from pipeline.splitting.listed import Counted
from pipeline.splitting.pieces import Pieces
from pipeline.splitting.prose import skip_space
from pipeline.splitting.rulers import Characters, Tokens, counted
from pipeline.splitting.windows import Span, without_space


class _Measure(Protocol):
    """Tells how far so much of a text reaches, as rulers do."""

    def reach(self, start: int, bound: int) -> int:
        """The furthest end with which text[start:end] measures at most `bound`."""

    def back(self, end: int, bound: int) -> int:
        """The earliest start with which text[start:end] measures at most `bound`."""


class _Trimmed:
    """Leaves out the white space around a chunk."""

    def __init__(self, text: str, measure: _Measure) -> None:
        self._text = text
        self._measure = measure

    def reach(self, start: int, bound: int) -> int:
        """Without white space at `start`, and with all of what follows."""
        text, end = self._text, len(self._text)
        return skip_space(text, self._measure.reach(skip_space(text, start, end), bound), end)

    def back(self, end: int, bound: int) -> int:
        """As far as the measure tells."""
        return self._measure.back(end, bound)


class SeparatorCutter:
    """Cuts texts at separators; bound and overlap are in characters, or in a counter's tokens.

    Chunks overlap by whole pieces. Behind the last separator come words and graphemes, so that no chunk
    exceeds the bound unless a single grapheme does. Not so for LangChain: what has no separators stays as
    long as it is, and a chunk's tokens are the sum of its pieces'. Where it is not `recursive`, the first
    separator is the only one.
    """

    def __init__(
        self,
        separators: Separators,
        bound: int,
        overlap: int = 0,
        counter: TokenCounter | None = None,
        *,
        langchain: bool = False,
        recursive: bool = True,
    ) -> None:
        self.bound = bound
        self.overlap = overlap
        self.counter = counter
        self.langchain = langchain
        self.recursive = recursive
        if not langchain:
            levels = own_levels(separators)
        elif counter:
            levels = counted_levels(separators, counter, bound - recursive)
        else:
            levels = langchain_levels(separators)
        self.levels = tuple(islice(levels, None if recursive else 1))

    def spans(self, text: str) -> list[Span]:
        """The chunks, in order; text[start:end] is a chunk, and none is blank."""
        walk = _Walk(self, text)
        walk.cut(0, len(text), 0)
        return walk.spans


class SeparatorSplitter:
    """Cuts plain text at a spec's separators, or at LangChain's where it names none."""

    def __init__(self, spec: SplitterSpec, counter: TokenCounter) -> None:
        separators = Separators(spec.separators or LANGCHAIN, spec.separators_are_regex, spec.keep_separator)
        bounded = counter if spec.max_characters is None else None
        self._cutter = SeparatorCutter(
            separators, spec.bound, spec.overlap, bounded, langchain=spec.langchain
        )
        self._counter = counter
        self.spans = self._cutter.spans

    def split(self, text: str) -> list[Chunk]:
        """Cut a text, and count each chunk's tokens."""
        return counted(text, self._cutter.spans(text), self._counter)


class _Walk:
    """Goes through one text."""

    def __init__(self, cutter: SeparatorCutter, text: str) -> None:
        self.spans: list[Span] = []
        self._text = text
        self._cutter = cutter
        self._measure: _Measure = _CHARACTERS
        self._exact: Tokens | None = None  # of what has to keep to a bound in tokens
        if not cutter.langchain:
            self._exact = Tokens(text, cutter.counter) if cutter.counter else None
            self._measure = _Trimmed(text, self._exact or _CHARACTERS)

    def cut(self, start: int, end: int, level: int) -> None:
        """Cut a stretch at the first of the separators from `level` on that stands in it."""
        levels = self._cutter.levels
        for at in range(level, len(levels) if start < end else 0):
            pieces = levels[at](self._text, start, end)
            if pieces is not None:
                self._walk(pieces, start, end, at + 1)
                return
        self._leaf(start, end, level)

    def _walk(self, pieces: Pieces, start: int, end: int, deeper: int) -> None:
        text, add, bound, overlap = self._text, self.spans.append, self._cutter.bound, self._cutter.overlap
        last, next_, gaps, lead = pieces.last, pieces.next, pieces.gaps, pieces.blank
        measure = pieces if isinstance(pieces, Counted) else self._measure
        characters = measure is _CHARACTERS
        new = start = next_(start, start) if gaps else start  # what begins at `new` is in no chunk yet
        blank = 0
        while start < end:
            high = start + bound if characters else measure.reach(start, bound)
            stop = last(start, high)
            if stop >= high or not characters:
                stop = self._checked(pieces, start, stop)
            if stop <= new and start < new:
                start = new  # nothing new fits beside what is shared
                continue
            begun, share, first = start, overlap, start + blank
            if not stop:
                stop, share = self._long(pieces, start, deeper), 0
            elif first < stop and not text[first].isspace() and not text[stop - 1].isspace():
                add((first, stop))
            else:
                self._add(start, stop)
            blank = lead
            start = new = next_(begun, stop) if gaps else stop
            if share and new < end:
                low = stop - share if characters else measure.back(stop, share)
                begin = next_(begun, low if low > begun else begun + 1)
                if begin < new:
                    start = self._beside(pieces, measure, begin, stop, new)

    def _checked(self, pieces: Pieces, start: int, stop: int) -> int:
        """Where the pieces up to `stop` end that fit; 0 where the first is too long by itself."""
        cutter, bound, exact = self._cutter, self._cutter.bound, self._exact
        if exact:
            while stop and (over := self._over(exact, start, stop, bound)) > 0:
                stop = pieces.last(start, stop - max(1, over // 4))  # four bytes a character, or tokens
        elif cutter.langchain and cutter.recursive and not cutter.counter:
            # A single piece of just the bound is too long for LangChain.
            return 0 if stop - start == bound and pieces.end(start) == stop else stop
        return stop

    def _long(self, pieces: Pieces, start: int, deeper: int) -> int:
        """Cut a piece that is too long; gives its end."""
        end = pieces.end(start)
        if self._cutter.recursive:
            self.cut(start, end, deeper)
        else:
            self._add(start, end)
        return end

    def _beside(self, pieces: Pieces, measure: _Measure, start: int, stop: int, new: int) -> int:
        """Which of the pieces from `start` to `stop` the next one fits beside; `new` for none."""
        bound, overlap, exact = self._cutter.bound, self._cutter.overlap, self._exact
        end = pieces.end(new)
        low = end - bound if measure is _CHARACTERS else measure.back(end, bound)
        if not self._cutter.langchain and self.spans:
            low = max(low, self.spans[-1][0] + 1)  # not all of the chunk before
        if low > start:
            start = min(new, pieces.next(start, low)) if low < stop else new
        while exact and start < new and self._over(exact, start, stop, overlap) > 0:
            start = min(new, pieces.next(start, start + 1))
        return start

    def _over(self, exact: Tokens, start: int, stop: int, bound: int) -> int:
        """How many tokens text[start:stop] has too many, without the white space around it."""
        start = skip_space(self._text, start, stop)
        return exact.over(start, without_space(self._text, start, stop), bound)

    def _leaf(self, start: int, end: int, level: int) -> None:
        """Take what no separator stands in; LangChain trims it only where it is short."""
        cutter = self._cutter
        if cutter.langchain and cutter.recursive and (level or self._size() >= cutter.bound):
            if not self._text[start:end].isspace():
                self.spans.append((start, end))
        else:
            self._add(start, end)

    def _size(self) -> int:
        counter = self._cutter.counter
        return counter.count([self._text])[0] if counter else len(self._text)

    def _add(self, start: int, end: int) -> None:
        """Take a chunk without the white space around it, unless nothing is left, or nothing new."""
        body = self._text[start:end].lstrip()
        start = end - len(body)
        end = start + len(body.rstrip())
        if start < end and (self._cutter.langchain or not self.spans or end > self.spans[-1][1]):
            self.spans.append((start, end))


_CHARACTERS = Characters()
