"""Pictures of analyses: what is drawn is what was found, readable in both languages."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pipeline.analysis import charts, picture
from pipeline.analysis.clusters import clusters
from pipeline.analysis.drift import Side, drift
from pipeline.analysis.duplicates import Duplicates, duplicates
from pipeline.analysis.outliers import outliers
from tests.pipeline.analysis.made import around, made

_TEXTS = [f"river {n} floods 🌊 the meadow" if n < 40 else f"流星群 {n} 夜空の星座" for n in range(80)]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that were written."""
    figures: list[Figure] = []
    write = picture.write

    def kept(figure: Figure, path: Path) -> None:
        figures.append(figure)
        write(figure, path)

    monkeypatch.setattr(picture, "write", kept)
    return figures


def _told(figure: Figure) -> str:
    axes = [text for one in figure.axes for text in (*one.texts, one.title, *one.get_yticklabels())]
    left = [one.get_title(loc="left") for one in figure.axes]
    return "\n".join([*(text.get_text() for text in (*figure.texts, *axes)), *left])


def _bars(figure: Figure) -> list[Rectangle]:
    return [bar for one in figure.axes for bar in one.patches if isinstance(bar, Rectangle)]


def _widths(figure: Figure) -> list[float]:
    return [round(bar.get_width(), 4) for bar in _bars(figure)]


def test_groups_are_bars_of_their_sizes_named_in_both_languages(tmp_path: Path, drawn: list[Figure]) -> None:
    found = clusters(made(tmp_path, around(2, 40), _TEXTS), 2)
    charts.clusters(found, tmp_path / "c.png")
    assert _widths(drawn[0]) == [40, 40]
    told = _told(drawn[0])
    assert "river" in told
    assert "流星群" in told
    assert "40 · 50.0% · alike" in told
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def test_distances_are_counted_once_each_and_those_beyond_are_told(
    tmp_path: Path, drawn: list[Figure]
) -> None:
    found = outliers(made(tmp_path, around(2, 40, spread=0.6), _TEXTS), quantile=0.9)
    assert sum(count for _, count in found.histogram) == 80
    assert found.histogram[-1][0] <= found.furthest[0].distance < found.histogram[-1][0] + 0.0101
    charts.outliers(found, tmp_path / "o.png")
    assert sum(bar.get_height() for bar in _bars(drawn[0])) == 80
    assert f"{found.beyond:,} of 80 are beyond" in _told(drawn[0])
    assert "🌊" not in _told(drawn[0])  # the font has none


def test_a_drift_shows_shares_before_and_after_and_its_alarm(tmp_path: Path, drawn: list[Figure]) -> None:
    vectors = around(2, 40)
    doc_ids = [f"{n}.md" for n in range(80)]
    before = made(tmp_path, vectors[:40], _TEXTS[:40], doc_ids[:40])
    after = made(tmp_path, vectors, _TEXTS, doc_ids)
    found = drift(Side("version 1", before), Side("version 2", after), k=2)
    assert found.alarm
    charts.drift(found, tmp_path / "d.png")
    told = _told(drawn[0])
    assert all(reason in told for reason in found.reasons)
    assert _widths(drawn[0])[:4] == [round(value, 4) for value in _shares(found.whole)]
    assert "version 1 (40 documents) and what is new in version 2: differ by" in told


def _shares(difference: Any) -> list[float]:
    return [share.before for share in difference.shares] + [share.after for share in difference.shares]


def test_duplicates_are_bars_and_none_are_a_picture_that_says_so(tmp_path: Path, drawn: list[Figure]) -> None:
    vectors = around(2, 40, spread=0.5)
    vectors[1:4] = vectors[0]
    found = duplicates(made(tmp_path, vectors, _TEXTS))
    charts.duplicates(found, tmp_path / "a.png")
    assert _widths(drawn[0])[0] == found.largest[0].chunks >= 4
    none = Duplicates("t", 1, 0.95, 80, 80, 0, 0, 0, 0, 1, 1, None, 0, ())
    charts.duplicates(none, tmp_path / "b.png")
    assert "0 groups" in _told(drawn[1])


def test_sources_are_parted_by_language(tmp_path: Path, drawn: list[Figure]) -> None:
    rows = [
        {"source": "en", "chunks": 100, "documents": 1, "languages": {"en": 0.8, "other": 0.2}},
        {"source": "資料", "chunks": 50, "documents": 2, "languages": {"ja": 1.0}},
    ]
    charts.coverage(rows, "docs", tmp_path / "s.png")
    assert _widths(drawn[0]) == [80, 0, 0, 50, 20, 0]  # en, ja, other
    told = _told(drawn[0])
    assert "100 chunks of 1 document\n" in told
    assert "資料" in told


def test_classes_are_parted_by_how_sure_they_are(tmp_path: Path, drawn: list[Figure]) -> None:
    labels = {"a": [0.95, 0.9, 0.6], "b": [0.4], "c": []}
    rows = [{"label": name, "probability": p} for name, found in labels.items() for p in found]
    counts = {name: len(found) for name, found in labels.items()}
    charts.classes({"table": "docs", "version": 1, "classes": counts, "rows": rows}, tmp_path / "k.png")
    assert _widths(drawn[0]) == [2, 0, 0, 1, 0, 0, 0, 1, 0]
    assert "3 · 75.0%" in _told(drawn[0])


@pytest.mark.parametrize("text", ["流" * 60, "a " * 60])
def test_a_label_is_no_wider_than_its_place(text: str, tmp_path: Path, drawn: list[Figure]) -> None:
    rows = [{"source": text, "chunks": 1, "documents": 1, "languages": {"en": 1.0}}]
    charts.coverage(rows, "docs", tmp_path / "w.png")
    [axes] = drawn[0].axes
    [label] = axes.get_yticklabels()
    assert label.get_text().endswith("…")
    assert label.get_window_extent().x0 > 0


def test_more_than_fit_are_left_out_and_that_is_said(tmp_path: Path, drawn: list[Figure]) -> None:
    rows = [{"source": str(n), "chunks": 1, "documents": 1, "languages": {"en": 1.0}} for n in range(99)]
    charts.coverage(rows, "docs", tmp_path / "m.png")
    assert "the largest 24 of 99 sources" in _told(drawn[0])
    assert np.sum(_widths(drawn[0])) == 24
