"""A comparison of two generations as one page of HTML: no script, and nothing that is asked for elsewhere."""

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from tasks.figures import comparison_rows

_LIVE, _NEXT, _TEXT = "#8896a8", "#2f6fde", "#5b6876"
_BINS = 10
_WIDTH, _HEIGHT = 420, 210
_LEFT, _RIGHT, _BOTTOM, _TOP = 44, 12, 34, 14

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2733 }
body { margin: 2rem auto; max-width: 960px; padding: 0 1rem }
h1 { font-size: 1.4rem } h2 { font-size: 1rem; margin: 0 0 .3rem }
table { border-collapse: collapse; margin: 1rem 0 2rem }
td, th { padding: .25rem 1.2rem .25rem 0; text-align: left }
td + td { font-variant-numeric: tabular-nums } th { border-bottom: 1px solid #cfd6de }
.plots { display: flex; flex-wrap: wrap; gap: 2rem } figure { margin: 0 }
figcaption { color: #5b6876; max-width: 420px }
"""


def page(values: Mapping[str, Any]) -> str:
    """The page of a comparison's record."""
    live, new = values["live"], values["next"]
    title = f"{values['table']}: {new['space']} beside {live['space']}"
    plots = (
        f"<figure><h2>{escape(one.title)}</h2>{one.svg}<figcaption>{escape(one.said)}</figcaption></figure>"
        for one in _plots(values)
    )
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(a)}</td><td>{escape(b)}</td></tr>"
        for name, a, b in comparison_rows(values)
    )
    head = f'<tr><th></th><th style="color:{_LIVE}">live</th><th style="color:{_NEXT}">next</th></tr>'
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style><h1>{escape(title)}</h1><p>{values['questions']:,} questions to both</p>"
        f'<table>{head}{rows}</table><div class="plots">{"".join(plots)}</div></html>\n'
    )


def in_markdown(values: Mapping[str, Any]) -> str:
    """The same for a dashboard, its plots as images that ask no host."""
    live, new = values["live"], values["next"]
    lines = [
        f"# {values['table']}: {new['space']} beside {live['space']}",
        "",
        "| | live | next |",
        "|---|---|---|",
        *(f"| {name} | {a} | {b} |" for name, a, b in comparison_rows(values)),
        "",
    ]
    for one in _plots(values):
        image = b64encode(one.svg.encode()).decode()
        lines += [
            f"## {one.title}",
            "",
            f"![{one.title}](data:image/svg+xml;base64,{image})",
            "",
            one.said,
            "",
        ]
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class _Plot:
    title: str
    said: str  # below it
    drawing: str  # what stands inside the SVG

    @property
    def svg(self) -> str:
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" role="img" '
            f'aria-label="{escape(self.title)}" font-family="system-ui, sans-serif" font-size="12" '
            f'text-anchor="middle">{self.drawing}</svg>'
        )


def _plots(values: Mapping[str, Any]) -> list[_Plot]:
    live, new, k = values["live"], values["next"], values["top_k"]
    times = [(name, live[key], new[key]) for name, key in (("median", "search_ms"), ("95 %", "search_ms_95"))]
    found = [
        _Plot(
            f"Overlap of the first {k} hits",
            f"Questions by the share of hits that both find; the mean is {values['overlap']:.2f}.",
            _histogram(values["overlaps"], 0.0, 1.0),
        ),
        _Plot(
            "Rank correlation",
            f"Questions by Spearman's rho over documents; the mean is {values['correlation']:.2f}.",
            _histogram(values["correlations"], -1.0, 1.0),
        ),
        _Plot("Latency", "Milliseconds of a search by vector: the median, and 95 of 100.", _pairs(times)),
    ]
    if live["recall"] is not None and new["recall"] is not None:
        pairs = [(f"recall@{k}", live["recall"], new["recall"]), ("nDCG@10", live["ndcg"], new["ndcg"])]
        found.insert(2, _Plot("Labelled questions", "Higher is better.", _pairs(pairs, 1.0)))
    return found


def _histogram(values: Sequence[float], low: float, high: float) -> str:
    """Bars of how many values lie in each tenth of a range."""
    counts = [0] * _BINS
    for value in values:
        counts[min(_BINS - 1, max(0, int((value - low) / (high - low) * _BINS)))] += 1
    step, most = (_WIDTH - _LEFT - _RIGHT) / _BINS, max(counts) or 1
    bars = (
        _bar(_LEFT + place * step + 2, step - 4, count / most, _NEXT) for place, count in enumerate(counts)
    )
    labels = (
        _label(_LEFT + place * step, _HEIGHT - 14, f"{low + (high - low) * place / _BINS:g}")
        for place in range(0, _BINS + 1, 2)
    )
    return "".join([*bars, *labels, _axis(f"{most:,}")])


def _pairs(pairs: Iterable[tuple[str, float, float]], most: float | None = None) -> str:
    """Two bars for each name, the live one's first."""
    pairs = list(pairs)
    top = most or max((max(a, b) for _, a, b in pairs), default=1.0) or 1.0
    step, drawn = (_WIDTH - _LEFT - _RIGHT) / len(pairs), list[str]()
    for place, (name, live, new) in enumerate(pairs):
        middle = _LEFT + (place + 0.5) * step
        for value, colour, x in ((live, _LIVE, middle - 56), (new, _NEXT, middle + 4)):
            drawn += [_bar(x, 52, value / top, colour), _label(x + 26, _y(value / top) - 4, f"{value:.3g}")]
        drawn.append(_label(middle, _HEIGHT - 14, name))
    return "".join([*drawn, _axis(f"{top:.3g}")])


def _bar(x: float, width: float, share: float, colour: str) -> str:
    y = _y(share)
    height = _HEIGHT - _BOTTOM - y
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}" rx="2"/>'


def _label(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{_TEXT}">{escape(text)}</text>'


def _axis(top: str) -> str:
    base = _HEIGHT - _BOTTOM
    line = f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{base}" y2="{base}" stroke="#cfd6de"/>'
    return line + _label(_LEFT / 2, _TOP + 10, top) + _label(_LEFT / 2, base, "0")


def _y(share: float) -> float:
    """Where the top of a bar of this share of the height is; above it is room for a label."""
    return _TOP + 6 + (1.0 - share) * (_HEIGHT - _BOTTOM - _TOP - 6)
