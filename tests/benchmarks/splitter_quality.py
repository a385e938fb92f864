"""What splitters make of real Markdown, beside the peers: exactness, size, where chunks end, what they break.

    uv run --group benchmarks python -m tests.benchmarks.splitter_quality

English pages are cut at 1,000 characters, Japanese ones at 500. What a page is made of is told by
markdown-it-py, which no splitter uses. White space around a chunk counts for nobody. What needs to know
where chunks are is left out for a peer of whose chunks more than one in a hundred is not in the text.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import regex
from markdown_it import MarkdownIt

from infra.settings import be_quiet
from pipeline.analysis.boundaries import Page, Stretch
from pipeline.model import Chunk
from pipeline.splitting.prose import plain_lines
from pipeline.splitting.structure import Heading
from tests.benchmarks import contenders as by
from tests.benchmarks.contenders import Contender, Pieces
from tests.benchmarks.corpora import pages
from tests.benchmarks.side_by_side import table

_BOUNDS = {"EN": 1000, "JA": 500}  # characters
_ORPHANS, _UTILISATION = 1.0, 0.75  # of our markdown: at most in 1,000 chunks, and at least
_COMMONMARK = MarkdownIt("commonmark").enable("table")
_MDX = MarkdownIt("commonmark").enable("table").disable("html_block")
_FRONT_MATTER = re.compile(r"\ufeff?---[ \t]*\n(?:.*\n)*?(?:---|\.\.\.)[ \t]*(?:\n|\Z)")
_FAMILY = "👩\u200d👩\u200d👧\u200d👦"
_HOSTILE = {
    "lone surrogate": "Some words and \ud800 here. " * 100,
    "NUL": "Some words and \0 here. " * 100,
    "ZWJ emoji": _FAMILY * 300,
    "CRLF": "Some words.\r\nA line.\r\n\r\n" * 100,
}
_HEADER = (
    *("contender", "chunks", "inexact", "over", "utilisation", "within sections", "end well, %"),
    *("orphan headings / 1,000", "fences broken", "tables broken"),
)


@dataclass(frozen=True, slots=True)
class Found:
    """A chunk, and where it is in its text: None where it is not to be found."""

    text: str
    start: int | None
    exact: bool  # whether it is where it claims to be, or claims nothing and is in the text


class Tally:
    """Adds up what a contender makes of one page after another."""

    def __init__(self, contender: Contender, bound: int) -> None:
        self._contender = contender
        self._split = contender.make()
        self._bound = bound
        self._count = Counter[str]()
        self._sizes: list[int] = []
        self._inner: list[int] = []  # of chunks that are neither whole sections nor end their page

    def add(self, text: str, page: Page) -> None:
        """Cut a page, and see what became of it."""
        count, bound = self._count, self._bound
        found = located(text, self._contender.pieces(self._split(text)))
        count["inexact"] += sum(not one.exact for one in found)
        count["lost"] += sum(one.start is None for one in found)
        count["over"] += sum(len(one.text) > bound for one in found)
        self._sizes += [len(one.text.strip()) for one in found]
        chunks = _trimmed(found)
        ends = page.ends(chunks)[:-1]
        count["ends"] += len(ends)
        count["well"] += sum(end in ("section", "paragraph", "sentence") for end in ends)
        count["orphans"] += page.alone(chunks)
        heads = {0, *(heading[0] for heading in page.headings)}
        self._inner += [
            chunk.end - chunk.start
            for chunk, end in zip(chunks, ends, strict=False)
            if end != "section" or chunk.start not in heads
        ]
        broken = page.broken(chunks)
        for stretches, name in ((page.stretches, "whole"), (broken, "broken")):
            count.update(f"{name} {one.kind}" for one in stretches if one.end - one.start <= bound)

    @property
    def orphans(self) -> float:
        """Headings that end a chunk though something is under them, in 1,000 chunks."""
        return 1000 * self._count["orphans"] / len(self._sizes)

    @property
    def utilisation(self) -> float:
        """The mean size of a chunk as a share of the bound."""
        return fmean(self._sizes) / self._bound

    def row(self) -> list[str]:
        """The figures as printed, by `_HEADER`."""
        count, chunks = self._count, len(self._sizes)
        row = [self._contender.name, str(chunks), str(count["inexact"]), str(count["over"])]
        row += [f"{self.utilisation:.3f}"]
        if count["lost"] > chunks / 100:
            return [*row, *"–" * (len(_HEADER) - len(row))]
        kept = (f"{count[f'broken {kind}']} of {count[f'whole {kind}']}" for kind in ("fence", "table"))
        inner = f"{fmean(self._inner) / self._bound:.3f}"
        return [*row, inner, f"{100 * count['well'] / count['ends']:.1f}", f"{self.orphans:.2f}", *kept]

    def verdict(self) -> str:
        """Whether it is what our markdown has to be."""
        count = self._count
        nothing = ("inexact", "over", "broken fence", "broken table")
        asked = {f"{name}: 0": count[name] == 0 for name in nothing}
        asked[f"orphan headings: < {_ORPHANS:g} in 1,000"] = self.orphans < _ORPHANS
        asked[f"utilisation: >= {_UTILISATION}"] = self.utilisation >= _UTILISATION
        told = (f"{name} {'ok' if held else 'MISSED'}" for name, held in asked.items())
        return f"{self._contender.name}, asked for: {', '.join(told)}"


def main() -> None:
    """Print a table for each language, and one of what survives."""
    be_quiet()
    for language, texts in pages().items():
        bound = _BOUNDS[language]
        read = [(text, page_of(text)) for text in texts]
        tallies = [Tally(contender, bound) for contender in _contenders(bound)]
        for tally in tallies:
            for text, page in read:
                tally.add(text, page)
        print(f"**{language}, {len(texts)} pages, at most {bound} characters**\n")
        table(_HEADER, [tally.row() for tally in tallies])
        print(*(tally.verdict() for tally in tallies[1:3]), sep="\n", end="\n\n")
    print("**What survives unchanged**\n")
    rows = [[one.name, *(_survives(one, name) for name in _HOSTILE)] for one in _contenders(_BOUNDS["EN"])]
    table(["contender", *_HOSTILE], rows)


def page_of(text: str) -> Page:
    """A page as the parser reads it: headings at the top level, fences and tables at any.

    Fences and tables are those that are there with and without HTML blocks: to CommonMark a fence right
    below a line of HTML is none, and what was meant to close it opens one.
    """
    scan = plain_lines(text)
    front = _FRONT_MATTER.match(scan)
    body = front.end() if front else 0
    headings, stretches = _blocks(_COMMONMARK, scan, body)
    also = set(_blocks(_MDX, scan, body)[1])
    return Page(scan, scan, tuple(headings), tuple(one for one in stretches if one in also))


def _blocks(parser: MarkdownIt, scan: str, body: int) -> tuple[list[Heading], list[Stretch]]:
    lines = [body, *(body + found.end() for found in re.finditer("\n", scan[body:])), len(scan)]
    headings, stretches = [], []
    for token in parser.parse(scan[body:]):
        if token.map is None:
            continue
        start, end = (lines[min(line, len(lines) - 1)] for line in token.map)
        if token.type == "heading_open" and token.level == 0:
            headings.append((start, end, int(token.tag[1]), start))
        elif token.type in ("fence", "table_open"):
            kind = "fence" if token.type == "fence" else "table"
            first = end - len(scan[start:end].lstrip())
            stretches.append(Stretch(kind, first, start + len(scan[start:end].rstrip())))
    return headings, stretches


def located(text: str, pieces: Pieces) -> list[Found]:
    """Find chunks in their text: where they claim to be, or else from where the one before begins."""
    found, known = [], 0
    for claimed, piece in pieces:
        exact = claimed is not None and claimed >= 0 and text.startswith(piece, claimed)
        start = claimed if exact else text.find(piece, known)
        found.append(Found(piece, None if start == -1 else start, exact or (claimed is None and start != -1)))
        known = start if start is not None and start > known else known
    return found


def _trimmed(found: Sequence[Found]) -> list[Chunk]:
    """Where chunks are, without white space around them; those that are nowhere are left out."""
    chunks = []
    for one in found:
        own = one.text.strip()
        if one.start is not None and own:
            start = one.start + len(one.text) - len(one.text.lstrip())
            chunks.append(Chunk(start, start + len(own), 0))
    return sorted(chunks, key=lambda chunk: (chunk.start, chunk.end))


def _survives(contender: Contender, name: str) -> str:
    """Whether a text comes out as it went in: all of it in exact chunks, and no character cut in two."""
    text = _HOSTILE[name]
    try:
        found = located(text, contender.pieces(contender.make()(text)))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a panic in Rust is no Exception
        return f"crash ({type(error).__name__})"
    chunks = _trimmed(found)
    reached = 0
    for chunk in [*chunks, Chunk(len(text), len(text), 0)]:
        if text[reached : chunk.start].strip():
            return "loses text"
        reached = max(reached, chunk.end)
    if not all(one.exact for one in found):
        return "changed"
    edges = {edge for chunk in chunks for edge in (chunk.start, chunk.end)}
    whole = {0, *(match.end() for match in regex.finditer(r"\X", text))}
    return "yes" if edges <= whole else "cut in two"


def _contenders(bound: int) -> list[Contender]:
    return [
        by.ours("recursive", "recursive", bound),
        by.ours("markdown", "markdown", bound),
        by.ours("markdown, sections joined", "markdown", bound, join_sections=True),
        by.langchain(bound),
        by.langchain_headers(bound),
        by.semantic_text("Text", bound),
        by.semantic_text("Markdown", bound),
        by.chonkie(bound),
        by.semchunk(bound),
    ]


if __name__ == "__main__":
    main()
