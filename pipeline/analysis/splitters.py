"""Figures that tell splitters apart: sizes, where chunks end, and what they break."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median_low
from typing import Any

from pipeline.analysis.boundaries import LEVELS, Page, Stretch
from pipeline.model import Chunk
from pipeline.ports import TokenCounter
from pipeline.splitter_spec import SplitterSpec

BINS = 10  # of a histogram: tenths of the bound


@dataclass(frozen=True, slots=True)
class Kept:
    """Of what would fit into a chunk, how many there are, and how many were broken all the same."""

    fit: int = 0
    broken: int = 0


@dataclass(frozen=True, slots=True)
class Figures:
    """What a splitter made of some texts. Sizes are of the embedded text, in the bound's unit."""

    chunks: int
    median: int
    largest: int
    utilisation: float  # the mean size, as a share of the bound
    over_bound: int  # chunks
    histogram: tuple[int, ...]  # chunks by their size in tenths of the bound; without those over it
    boundaries: int  # ends of chunks that are not the end of a text
    ends: dict[str, float]  # the share of those at each of LEVELS
    headings: Kept  # those at the end of a chunk, without anything of what is under them, are broken off
    fences: Kept
    tables: Kept

    def record(self) -> dict[str, Any]:
        """The figures as JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Broken:
    """A fence or a table that no chunk holds whole."""

    stretch: Stretch
    size: int  # in the bound's unit
    fits: bool  # into a chunk, beside what is embedded before it


class Tally:
    """Adds up what a splitter makes of one text after another."""

    def __init__(self, spec: SplitterSpec, counter: TokenCounter) -> None:
        self._spec = spec
        self._counter = counter
        self._sizes: list[int] = []
        self._ends = Counter[str]()
        self._headings = self._alone = 0
        self._fit, self._broken = Counter[str](), Counter[str]()

    def add(self, page: Page, chunks: Sequence[Chunk]) -> None:
        """Take in the chunks of a text."""
        self._sizes += sizes(chunks, self._spec)
        self._ends.update(page.ends(chunks)[:-1])
        self._headings += len(page.headings)
        self._alone += page.alone(chunks)
        fit = self._measure([page.text[one.start : one.end] for one in page.stretches])
        for stretch, size in zip(page.stretches, fit, strict=True):
            self._fit[stretch.kind] += size <= self._spec.bound
        self._broken.update(broken.stretch.kind for broken in self.broken(page, chunks) if broken.fits)

    def broken(self, page: Page, chunks: Sequence[Chunk]) -> list[Broken]:
        """The stretches of a text that its chunks broke."""
        found = page.broken(chunks)
        before = [_before(stretch, chunks) for stretch in found]
        prefixes = sorted(set(before))
        cost = dict(zip(prefixes, self._measure(prefixes), strict=True))
        measured = self._measure([page.text[stretch.start : stretch.end] for stretch in found])
        return [
            Broken(stretch, size, size + cost[prefix] <= self._spec.bound)
            for stretch, size, prefix in zip(found, measured, before, strict=True)
        ]

    def figures(self) -> Figures:
        """What all of it comes to."""
        sizes, bound, total = self._sizes, self._spec.bound, self._ends.total()
        bins = Counter((size - 1) * BINS // bound for size in sizes if 0 < size <= bound)
        return Figures(
            chunks=len(sizes),
            median=median_low(sizes) if sizes else 0,
            largest=max(sizes, default=0),
            utilisation=round(sum(sizes) / len(sizes) / bound, 4) if sizes else 0.0,
            over_bound=sum(size > bound for size in sizes),
            histogram=tuple(bins[number] for number in range(BINS)),
            boundaries=total,
            ends={level: round(self._ends[level] / total, 4) if total else 0.0 for level in LEVELS},
            headings=Kept(self._headings, self._alone),
            fences=Kept(self._fit["fence"], self._broken["fence"]),
            tables=Kept(self._fit["table"], self._broken["table"]),
        )

    def _measure(self, texts: Sequence[str]) -> list[int]:
        if self._spec.max_characters is not None:
            return [len(text) for text in texts]
        return self._counter.count(texts)


def sizes(chunks: Sequence[Chunk], spec: SplitterSpec) -> list[int]:
    """What chunks measure as they are embedded, in the unit of the bound."""
    if spec.max_characters is None:
        return [chunk.tokens for chunk in chunks]
    return [len(chunk.prefix) + chunk.end - chunk.start for chunk in chunks]


def _before(stretch: Stretch, chunks: Sequence[Chunk]) -> str:
    """What is embedded before a broken stretch's last piece, but for the table's header."""
    holder = bisect_right(chunks, stretch.end - 1, key=lambda chunk: chunk.start) - 1
    return chunks[holder].prefix.removesuffix(stretch.header) if holder >= 0 else ""
