"""What people see of `vecmill split`: a file chunk by chunk."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, get_character_cell_size
from rich.text import Text

from flows import render
from pipeline.analysis.boundaries import Page
from pipeline.analysis.splitters import Broken, Tally, sizes
from pipeline.model import Chunk
from pipeline.splitter_spec import SplitterSpec

_SHOWN = 100  # chunks
_HEAD, _TAIL = 5, 4  # lines of a long chunk
_WIDEST = 100  # columns: longer lines are hard to read
_MARGIN = "    "
_BAR = 10  # cells
_LEAST_PATH = 8  # columns
# What no line begins with.
_NOT_FIRST = frozenset("、。，．・：；？！ー）］｝〕〉》」』】〟’”…々ぁぃぅぇぉっゃゅょァィゥェォッャュョ")
_COLOURS = ("magenta", "cyan")  # of neighbours in turn

_ENDS = {
    "section": ("a section ends", "dim"),
    "paragraph": ("a paragraph ends", "dim"),
    "sentence": ("a sentence ends", "dim"),
    "line": ("a line ends", "dim"),
    "clause": ("a clause ends", "yellow"),
    "word": ("cut between words", "yellow"),
    "inside_word": ("cut inside a word", "red"),
    "": ("the text ends", "dim"),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """A text that was cut, and what is known of its chunks."""

    name: str
    text: str
    chunks: Sequence[Chunk]
    spec: SplitterSpec
    space: str  # its name
    page: Page
    tally: Tally

    @property
    def unit(self) -> str:
        """What the bound is in."""
        return "tokens" if self.spec.max_characters is None else "characters"


@dataclass(frozen=True, slots=True)
class _View:
    """A chunk, and what there is to say of it."""

    number: int  # from 1
    chunk: Chunk
    size: int  # in the bound's unit
    shared: int  # characters, with the chunk before
    end: str  # one of LEVELS; "" for the text's end
    broken: Broken | None  # what its end lies within


def chunks(shown: Shown, *, full: bool) -> None:
    """Each chunk as it stands in the text, and what they come to."""
    render.lines(_folded(_header(shown), 0))
    if not shown.chunks:
        render.lines([Text("no chunks: there is no text")])
        return
    views = _views(shown)
    most = len(views) if full else _SHOWN
    for view in views[:most]:
        render.lines([Text(), *_chunk(shown, view, full=full)])
    if len(views) > most:
        left = f"… and {len(views) - most:,} more chunks: --full shows all, and all of their text"
        render.lines([Text(), *_folded(Text(left), 0)])
    render.lines([Text()])
    for line in _summary(shown):
        render.lines(_folded(line, 0))


def _header(shown: Shown) -> Text:
    spec, of = shown.spec, f" of {shown.space}" if shown.unit == "tokens" else ""
    overlap = f", {spec.overlap:,} shared" if spec.overlap else ""
    said = f"  {spec.kind}, at most {spec.bound:,} {shown.unit}{of} a chunk{overlap}"
    return Text.assemble((render.safe(shown.name), "bold"), said)


def _views(shown: Shown) -> list[_View]:
    broken = shown.tally.broken(shown.page, shown.chunks)
    starts = [one.stretch.start for one in broken]
    measured, ends = sizes(shown.chunks, shown.spec), shown.page.ends(shown.chunks)
    ends[-1] = ""
    found, reached = [], 0
    for number, (chunk, size, end) in enumerate(zip(shown.chunks, measured, ends, strict=True), start=1):
        at = bisect_left(starts, chunk.end) - 1
        within = broken[at] if at >= 0 and chunk.end < broken[at].stretch.end else None
        found.append(_View(number, chunk, size, max(0, reached - chunk.start), end, within))
        reached = chunk.end
    return found


def _chunk(shown: Shown, view: _View, *, full: bool) -> Iterator[Text]:
    """A chunk: its measures, what is embedded before it, its text, and what it ends with."""
    chunk, colour = view.chunk, _COLOURS[view.number % 2]
    yield _measures(shown, view)
    prefix = Text(render.safe(chunk.prefix.strip("\n")), "dim")
    for line in _folded(prefix) if prefix else ():
        yield Text.assemble((f"{_MARGIN}┊ ", "dim"), line)
    body = Text(render.safe(shown.text[chunk.start : chunk.end]))
    body.stylize("dim italic", 0, view.shared)
    lines = _folded(body)
    hidden = len(lines) - _HEAD - _TAIL
    if hidden > 1 and not full:
        lines[_HEAD:-_TAIL] = [Text(f"⋯ {hidden} more lines ⋯", "dim")]
    yield from (Text.assemble((f"{_MARGIN}│", colour), " " if line else "", line) for line in lines)
    yield Text.assemble((f"{_MARGIN}╰ ", colour), _end(shown, view))


def _measures(shown: Shown, view: _View) -> Text:
    chunk, bound, colour = view.chunk, shown.spec.bound, _COLOURS[view.number % 2]
    cells = min(_BAR, -(-view.size * _BAR // bound))
    over = "bold red" if view.size > bound else ""
    counts = [f"{chunk.tokens:,} tokens", f"{chunk.end - chunk.start:,} characters"]
    if shown.unit == "characters":
        counts.reverse()
    found = Text.assemble(
        (f"{view.number:>3} ", "bold"),
        ("█" * cells, over or colour),
        ("░" * (_BAR - cells), "dim"),
        (f" {', '.join(counts)}", over),
        (f", {chunk.start:,}–{chunk.end:,}", "dim"),
    )
    path = render.safe(" > ".join(chunk.heading_path))
    room = render.width(_WIDEST) - found.cell_len - 2
    if path and room > _LEAST_PATH:
        found.append("  " + _last_of(path, room), colour)
    return found


def _last_of(path: str, columns: int) -> str:
    """As much of a path's end as fits: the last heading says most."""
    if cell_len(path) <= columns:
        return path
    while cell_len(path) >= columns:
        path = path[1:]
    return f"…{path}"


def _end(shown: Shown, view: _View) -> Text:
    """What a chunk ends with, what that breaks, and what is shared."""
    found = Text(*_ENDS[view.end])
    if view.broken:
        what = f"a {view.broken.stretch.kind} of {view.broken.size:,} {shown.unit}"
        if view.broken.fits:
            found.append(f", and {what} is broken that would fit", "red")
        else:
            found.append(f" within {what}, more than fits", "dim")
    if view.size > shown.spec.bound:
        found.append(", over the bound", "red")
    if view.shared:
        found.append(f"; {view.shared:,} characters are shared with chunk {view.number - 1}", "dim")
    return found


def _summary(shown: Shown) -> Iterator[Text]:
    """What the chunks come to."""
    figures, bound = shown.tally.figures(), f"{shown.spec.bound:,} {shown.unit}"
    yield Text.assemble(
        (f"{figures.chunks:,} chunks" if figures.chunks > 1 else "1 chunk", "bold"),
        f" of at most {bound}: median {figures.median:,}, largest {figures.largest:,}, ",
        f"{figures.utilisation:.0%} full",
    )
    yield Text(f"sizes from 0 to {shown.spec.bound:,}  [{render.spark(figures.histogram)}]")
    if figures.boundaries:
        shares = (
            f"{level.replace('_word', ' a word')} {share:.0%}"
            for level, share in figures.ends.items()
            if share
        )
        yield Text(f"ends: {', '.join(shares)}")
    wrong = [
        f"{count:,} {what if count == 1 else f'{what}s'} {how}"
        for count, what, how in (
            (figures.over_bound, "chunk", "over the bound"),
            (figures.headings.broken, "heading", "left alone"),
            (figures.fences.broken, "fence", "broken that would fit"),
            (figures.tables.broken, "table", "broken that would fit"),
        )
        if count
    ]
    yield Text(", ".join(wrong), "yellow") if wrong else Text("nothing over the bound, left alone or broken")


def _folded(text: Text, margin: int = len(_MARGIN) + 2) -> list[Text]:
    """A text's lines as they fit beside a margin."""
    text.expand_tabs(4)
    columns = max(8, render.width(_WIDEST) - margin)
    found: list[Text] = []
    for line in text.split(allow_blank=True):
        found += line.divide(_folds(line.plain, columns))
    for part in found:
        part.rstrip()
    return found


def _folds(line: str, columns: int) -> list[int]:
    """Where to fold a line: behind spaces, and between wide characters, which have none."""
    found: list[int] = []
    used = since = fold = 0  # columns of this part, those behind the last place to fold, and that place
    wide = False
    for at, character in enumerate(line):
        size = get_character_cell_size(character)
        if (wide or size > 1) and character not in _NOT_FIRST:
            fold, since = at, 0
        if used + size > columns and character != " ":
            fold, since = (fold, since) if fold > (found[-1] if found else 0) else (at, 0)
            found.append(fold)
            used = since
        used, since, wide = used + size, since + size, size > 1
        if character == " ":
            fold, since = at + 1, 0
    return found
