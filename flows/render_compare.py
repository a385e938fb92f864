"""What people see of `vecmill split --compare`: splitters side by side."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from flows import render
from pipeline.analysis.labelled import Mean
from pipeline.analysis.splitters import Figures, Kept
from pipeline.splitter_spec import SplitterSpec

_LABEL, _COLUMN = 32, 14  # columns that a table's first one, and each other one, take at most
_NAMED = 5  # documents left out


@dataclass(frozen=True, slots=True)
class Setting:
    """What splitters are compared on."""

    spec: SplitterSpec  # of one of them: all have the same bound
    space: str  # its name
    documents: int
    characters: int
    left_out: Sequence[str]  # why, a document

    @property
    def unit(self) -> str:
        """What the bound is in."""
        return "tokens" if self.spec.max_characters is None else "characters"

    def record(self) -> dict[str, Any]:
        """The setting as JSON."""
        return {
            "space": self.space,
            "unit": self.unit,
            "bound": self.spec.bound,
            "overlap": self.spec.overlap,
            "documents": self.documents,
            "characters": self.characters,
            "left_out": self.left_out,
        }


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of one splitter."""

    splitter: str
    figures: Figures
    seconds: float  # CPU
    score: Mean | None = None  # where there is a labelled set

    def record(self) -> dict[str, Any]:
        """The splitter's figures as JSON."""
        found = {"splitter": self.splitter, **self.figures.record(), "cpu_seconds": round(self.seconds, 4)}
        return {**found, **_scored(self.score)}


def comparison(setting: Setting, compared: Sequence[Compared]) -> None:
    """A table of splitters; below one another, where they do not fit side by side."""
    for reason in setting.left_out[:_NAMED]:
        render.note(f"left out: {reason}")
    if len(setting.left_out) > _NAMED:
        render.note(f"left out: {len(setting.left_out) - _NAMED:,} more")
    render.lines([Text(_header(setting))])
    rows = _rows(setting, compared)
    at_once = max(1, (render.out.width - _LABEL) // _COLUMN)
    for first in range(0, len(compared), at_once):
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        table.add_column("")
        some = compared[first : first + at_once]
        for one in some:
            table.add_column(one.splitter, justify="right")
        for row in rows:
            table.add_row(row.label, *row.cells(some, compared))
        render.lines([Text()])
        render.out.print(table)


@dataclass(frozen=True, slots=True)
class _Row:
    """A figure of all splitters."""

    label: str
    shown: Callable[[Compared], str]
    worth: Callable[[Compared], float] | None = None  # more is better; None where no figure is better

    def cells(self, some: Sequence[Compared], among: Sequence[Compared]) -> Iterator[Text]:
        """The figures of some splitters, bold where none among all is better and not all are equal."""
        worths = {self.worth(one) for one in among} if self.worth else set()
        for one in some:
            best = self.worth and len(worths) > 1 and self.worth(one) == max(worths)
            yield Text(self.shown(one), "bold green" if best else "")


def _header(setting: Setting) -> str:
    documents = f"{setting.documents:,} documents" if setting.documents > 1 else "1 document"
    of = f" of {setting.space}" if setting.unit == "tokens" else ""
    overlap = f", {setting.spec.overlap:,} shared" if setting.spec.overlap else ""
    return (
        f"{documents}, {setting.characters:,} characters; "
        f"at most {setting.spec.bound:,} {setting.unit}{of} a chunk{overlap}"
    )


def _rows(setting: Setting, among: Sequence[Compared]) -> list[_Row]:
    """What there is to say of splitters; nothing of fences, tables and scores where there are none."""
    found = [
        _Row("chunks", lambda one: f"{one.figures.chunks:,}"),
        _Row(
            f"sizes from 0 to {setting.spec.bound:,}", lambda one: f"[{render.spark(one.figures.histogram)}]"
        ),
        _Row("median size", lambda one: f"{one.figures.median:,}"),
        _Row("largest", lambda one: f"{one.figures.largest:,}"),
        _Row("bound used", lambda one: f"{one.figures.utilisation:.0%}"),
        _Row(
            "over the bound", lambda one: f"{one.figures.over_bound:,}", lambda one: -one.figures.over_bound
        ),
        *(_ending(level) for level in ("section", "paragraph", "sentence", "line")),
        _Row("end inside a sentence", lambda one: f"{_inside(one):.1%}", lambda one: -_inside(one)),
    ]
    if any(one.figures.headings.fit for one in among):
        found.append(_kept("headings left alone", lambda figures: figures.headings))
    if any(one.figures.fences.fit for one in among):
        found.append(_kept("fences broken that would fit", lambda figures: figures.fences))
    if any(one.figures.tables.fit for one in among):
        found.append(_kept("tables broken that would fit", lambda figures: figures.tables))
    if any(one.score for one in among):
        found.append(_Row("nDCG@10", _score, lambda one: one.score.mean if one.score else 0))
    return [*found, _Row("CPU time", lambda one: f"{one.seconds:.2f} s", lambda one: -one.seconds)]


def _sizes(one: Compared) -> str:
    return f"[{render.spark(one.figures.histogram)}]"


def _over(one: Compared) -> str:
    return f"{one.figures.over_bound:,}"


def _ending(level: str) -> _Row:
    return _Row(f"end with a {level}", lambda one: f"{one.figures.ends[level]:.1%}")


def _inside(one: Compared) -> float:
    return sum(one.figures.ends[level] for level in ("clause", "word", "inside_word"))


def _kept(label: str, of: Callable[[Figures], Kept]) -> _Row:
    return _Row(
        label,
        lambda one: f"{of(one.figures).broken:,} of {of(one.figures).fit:,}",
        lambda one: -of(one.figures).broken,
    )


def _scored(score: Mean | None) -> dict[str, float]:
    return {"ndcg@10": score.mean, "low": score.low, "high": score.high} if score else {}


def _score(one: Compared) -> str:
    return f"{one.score.mean:.3f} ± {(one.score.high - one.score.low) / 2:.3f}" if one.score else ""
