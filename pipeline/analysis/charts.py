"""Pictures of analyses: bars and distributions, with texts in both languages."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unicodedata import east_asian_width

import numpy as np

from pipeline.analysis import picture
from pipeline.analysis.map import COLOURS
from pipeline.analysis.picture import lettering, sheet, signs

if TYPE_CHECKING:
    from pipeline.analysis.clusters import Clusters
    from pipeline.analysis.drift import Difference, Drift
    from pipeline.analysis.duplicates import Duplicates
    from pipeline.analysis.outliers import Outliers
    from pipeline.analysis.terms import Terms

_WIDE = 11.0  # inches
_ROW, _HEAD, _FOOT = 0.36, 0.65, 0.55  # inches: a bar, what is above all of them, and below
_LEGEND = 0.3  # inches, where there is one
_MOST = 24  # bars
_LABEL = 46  # columns of a label; a Japanese character takes two
_LEFT = 0.4  # of the width, for labels
_INK, _SOFT, _ALARM = "#1c1e21", "#6b7280", "#c0392b"
_BEFORE, _AFTER = "#97a3b5", "#4269d0"
_UNTOLD = {"other": "#b9bec7", "none": "#dde0e5"}  # languages that are none
_SURE = (("0.9 or more", 0.9, "#1f4e9c"), ("0.5 to 0.9", 0.5, "#7fa3e0"), ("below 0.5", 0.0, "#d5dff2"))


def clusters(found: "Clusters", path: Path) -> None:
    """The size of each group, by its terms."""
    shown = found.clusters[:_MOST]
    page = _Page(f"{found.k} groups of {found.table}, version {found.version}", len(shown))
    labels = [_named(one.terms, f"group {one.cluster}") for one in shown]
    sizes = [one.chunks for one in shown]
    colours = [COLOURS[place % len(COLOURS)] for place in range(len(shown))]
    axes = page.bars(labels, [sizes], colours)
    told = [f"{one.chunks:,} · {one.share:.1%} · alike {one.likeness:.2f}" for one in shown]
    page.beside(axes, sizes, told)
    page.write(path, "chunks; their share of all; the mean cosine to the group's middle")


def duplicates(found: "Duplicates", path: Path) -> None:
    """The largest groups of near-duplicates."""
    shown = found.largest[:_MOST]
    title = f"Near-duplicates of {found.table}, version {found.version}: {found.groups:,} groups"
    page = _Page(title, max(1, len(shown)))
    sizes = [one.chunks for one in shown]
    axes = page.bars([_cut(one.text) for one in shown], [sizes], [_AFTER])
    told = [f"{_count(one.chunks, one.documents)}, least {one.least:.2f}" for one in shown]
    page.beside(axes, sizes, told)
    page.write(
        path,
        f"{found.exact:,} of {found.chunks:,} chunks have the text of another; {found.near:,} more texts "
        f"have a cosine of {found.threshold:g} to another; least: to the first of the group",
    )


def outliers(found: "Outliers", path: Path) -> None:
    """How far chunks are from the centre, and which are furthest."""
    shown = found.furthest[:8]
    page = _Page(f"Distances in {found.table}, version {found.version}", 13.4 + len(shown))
    axes = page.axes(0.07, 0.9, above=12)
    steps = [low for low, _ in found.histogram]
    width = min(np.diff(steps), default=0.01)
    beyond = [low >= found.bound for low in steps]
    colours = [_ALARM if far else _AFTER for far in beyond]
    axes.bar(steps, [count for _, count in found.histogram], width=width, align="edge", color=colours)
    axes.set_yscale("symlog", linthresh=1)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    for value, name, side in (
        (found.mean, "mean", "right"),
        (found.bound, f"{found.quantile:.0%} within", "left"),
    ):
        axes.axvline(value, color=_INK, linewidth=1, linestyle=(0, (4, 3)))
        axes.annotate(
            f" {name} {value:.3f} ", (value, 1), xycoords=("data", "axes fraction"), ha=side, va="bottom",
            fontproperties=page.font, fontsize=10, color=_SOFT,
        )  # fmt: skip
    page.plain(axes, "y")
    for place, one in enumerate(shown):
        page.line(f"{one.distance:.3f}", _cut(f"{one.doc_id}: {one.text}", 120), 13 + place)
    page.write(
        path,
        f"chunks, by a logarithm, by their cosine distance to the centre; {found.beyond:,} of "
        f"{found.chunks:,} are beyond",
    )


def drift(found: "Drift", path: Path) -> None:
    """Each group's share before and after; of all, and of what is new."""
    sides = [(f"all of {found.after}", found.whole)]
    if found.new:
        sides.append((f"what is new in {found.after}", found.new))
    counts = [min(len(one.shares), 8) for _, one in sides]
    rows = sum(2 * count + 2 for count in counts) + len(found.reasons)
    page = _Page(f"Drift of {found.table}: {found.before} and {found.after}", rows, row=0.24)
    above = 0.0
    for (name, one), count in zip(sides, counts, strict=True):
        _shares(page, f"{found.before} ({one.documents_before:,} documents) and {name}", one, count, above)
        above += 2 * count + 2
    for reason in found.reasons:
        page.line("alarm", _cut(reason, 120), above, _ALARM)
        above += 1
    verdict = "share of chunks" if found.alarm else "share of chunks; no alarm"
    page.write(path, verdict)


def coverage(rows: Sequence[Mapping[str, Any]], table: str, path: Path) -> None:
    """Chunks and their languages by source."""
    shown = rows[:_MOST]
    found = dict.fromkeys(name for row in shown for name in row["languages"])
    languages = sorted(found, key=lambda name: (name in _UNTOLD, list(found).index(name)))
    more = f"; the largest {_MOST} of {len(rows):,} sources" if len(rows) > _MOST else ""
    page = _Page(f"Sources of {table}{more}", len(shown), legend=True)
    parts = [[row["chunks"] * row["languages"].get(name, 0.0) for row in shown] for name in languages]
    colours = [_UNTOLD.get(name, COLOURS[place % len(COLOURS)]) for place, name in enumerate(languages)]
    axes = page.bars([_cut(row["source"] or "(none)") for row in shown], parts, colours)
    told = [_count(row["chunks"], row["documents"]) for row in shown]
    page.beside(axes, [row["chunks"] for row in shown], told)
    page.legend(dict(zip(languages, colours, strict=True)))
    page.write(path, "chunks, by the language that their beginning is in")


def classes(found: Mapping[str, Any], path: Path) -> None:
    """How many are in each class, and how surely."""
    names = sorted(found["classes"], key=lambda name: -found["classes"][name])
    parts, bound = [], 1.1
    for _, least, _ in _SURE:
        counts = dict.fromkeys(names, 0)
        for row in found["rows"]:
            counts[row["label"]] += least <= row["probability"] < bound
        parts.append([counts[name] for name in names])
        bound = least
    page = _Page(f"Classes of {found['table']}, version {found['version']}", len(names), legend=True)
    axes = page.bars([_cut(name) for name in names], parts, [colour for _, _, colour in _SURE])
    total = max(1, sum(found["classes"].values()))
    sizes = [found["classes"][name] for name in names]
    page.beside(axes, sizes, [f"{size:,} · {size / total:.1%}" for size in sizes])
    page.legend({name: colour for name, _, colour in _SURE})
    page.write(path, "how many are in each class, by the probability of it")


class _Page:
    """A picture whose height follows from how many rows it has."""

    def __init__(self, title: str, rows: float, row: float = _ROW, *, legend: bool = False) -> None:
        self._row, self._head = row, _HEAD + (_LEGEND if legend else 0)
        self._high = self._head + _FOOT + rows * row
        self.font = lettering()
        self.figure = sheet(_WIDE, self._high)
        self._text(0.02, self._high - 0.38, title, 14, _INK)

    def axes(self, left: float, width: float, above: float, first: float = 0.0) -> Any:
        """Axes for `above` rows, below the first so many."""
        bottom = self._high - self._head - (first + above) * self._row
        made = self.figure.add_axes((left, bottom / self._high, width, above * self._row / self._high))
        for side in ("top", "right", "left"):
            made.spines[side].set_visible(False)
        made.spines["bottom"].set_color("#d8dbe0")
        return made

    def bars(self, labels: Sequence[str], parts: Sequence[Sequence[float]], colours: Sequence[str]) -> Any:
        """Bars from top to bottom, made of parts from left to right; one part has a colour for each bar."""
        axes = self.axes(_LEFT, 0.97 - _LEFT, above=max(1, len(labels)))
        places, reached = np.arange(len(labels)), np.zeros(len(labels))
        for number, sizes in enumerate(parts):
            colour = colours if len(parts) == 1 and len(colours) == len(labels) else colours[number]
            axes.barh(places, sizes, left=reached, height=0.66, color=colour)
            reached = reached + np.asarray(sizes)
        self.rows(axes, labels)
        axes.set_xlim(0, 1.75 * max([*reached, 1]))  # room for what is told beside the bars
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        return axes

    def rows(self, axes: Any, labels: Sequence[str], step: int = 1) -> None:
        """Name rows at the left."""
        axes.set_yticks(
            np.arange(len(labels)) * step + (step - 1) / 2, labels, fontproperties=self.font, fontsize=11
        )
        axes.set_ylim(max(1, len(labels)) * step - 0.5, -0.5)
        axes.tick_params(axis="y", length=0, labelcolor=_INK)

    def beside(self, axes: Any, sizes: Sequence[float], told: Sequence[str]) -> None:
        """Say something at the end of each bar."""
        for place, (size, text) in enumerate(zip(sizes, told, strict=True)):
            axes.annotate(
                text, (size, place), (6, 0), textcoords="offset points", va="center",
                fontproperties=self.font, fontsize=10, color=_SOFT,
            )  # fmt: skip

    def plain(self, axes: Any, axis: str) -> None:
        """Thin lines across, small numbers."""
        axes.grid(axis=axis, color="#e6e8ec", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(length=0, labelcolor=_SOFT, labelsize=9)

    def line(self, head: str, text: str, row: float, colour: str = _SOFT) -> None:
        """A row of text, with a head before it."""
        y = self._high - self._head - (row + 0.6) * self._row
        self._text(0.02, y, head, 10, colour)
        self._text(0.085, y, text, 10, _INK)

    def legend(self, colours: Mapping[str, str]) -> None:
        """Which colour means what, under the title."""
        left = 0.02
        for name, colour in colours.items():
            self._text(left, self._high - 0.7, "■", 11, colour)
            self._text(left + 0.02, self._high - 0.7, name, 10, _SOFT)
            left += 0.035 + 0.0085 * _columns(name)

    def write(self, path: Path, foot: str) -> None:
        """Write it, with what the numbers are below. Raises InputError where it cannot be written."""
        self._text(0.02, 0.16, foot, 9.5, _SOFT)
        picture.write(self.figure, path)

    def _text(self, x: float, inches: float, text: str, size: float, colour: str) -> None:
        self.figure.text(
            x,
            inches / self._high,
            text,
            fontproperties=self.font,
            fontsize=size,
            color=colour,
            parse_math=False,
        )


def _shares(page: _Page, name: str, one: "Difference", count: int, first: float) -> None:
    """A group a row, its share before above that after."""
    told = "too few documents to tell" if one.p is None else f"differ by {one.effect:.3f}, p {one.p:.4f}"
    axes = page.axes(_LEFT, 0.97 - _LEFT, above=2 * count, first=first + 1)
    axes.set_title(
        f"{name}: {told}",
        loc="left",
        x=-_LEFT / (0.97 - _LEFT) + 0.035,
        fontproperties=page.font,
        fontsize=11,
        color=_INK,
    )
    shares = one.shares[:count]
    for offset, side, colour in ((0, "before", _BEFORE), (1, "after", _AFTER)):
        sizes = [getattr(share, side) for share in shares]
        places = np.arange(count) * 2 + offset * 0.8 + 0.1
        axes.barh(places, sizes, height=0.72, color=colour)
        for place, size in zip(places, sizes, strict=True):
            axes.annotate(
                f"{side} {size:.1%}", (size, place), (5, 0), textcoords="offset points", va="center",
                fontproperties=page.font, fontsize=8.5, color=_SOFT,
            )  # fmt: skip
    page.rows(axes, [_named(share.terms, "(no terms)") for share in shares], step=2)
    axes.set_xlim(0, 1.25 * max(max(share.before, share.after) for share in shares))
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)


def _named(words: "Terms", otherwise: str) -> str:
    both = [term for pair in zip_longest(words.english, words.japanese) for term in pair if term]
    name = ""
    for term in both:
        if _columns(f"{name} {term}") > _LABEL:
            break
        name = f"{name} {term}".strip()
    return name or otherwise


def _count(chunks: int, documents: int) -> str:
    ends = ("" if chunks == 1 else "s", "" if documents == 1 else "s")
    return f"{chunks:,} chunk{ends[0]} of {documents:,} document{ends[1]}"


def _cut(text: str, most: int = _LABEL) -> str:
    """A text on one line, no wider than so many columns."""
    known = signs()
    plain, wide = " ".join("".join(sign for sign in text if ord(sign) in known or sign.isspace()).split()), 0
    for place, sign in enumerate(plain):
        wide += _columns(sign)
        if wide > most:
            return plain[:place].rstrip() + "…"
    return plain


def _columns(text: str) -> int:
    return sum(2 if east_asian_width(sign) in "WF" else 1 for sign in text)
