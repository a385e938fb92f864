"""A run's progress in figures for people, the same on a terminal and on the dashboard."""

from collections.abc import Mapping
from typing import Any

from pipeline.ports import Advance, Sending


def figures(advance: Advance) -> dict[str, str]:
    """What a stage that sends texts has come to, by name; empty for the others."""
    sending = advance.sending
    if sending is None:
        return {}
    found = {
        "texts": _of(advance.done, advance.total),
        "tokens": _of(sending.tokens, sending.tokens_total),
        "requests": _of(sending.requests, sending.requests_total),
        "spent": f"{sending.usd:.6f} USD" if sending.usd else "",
        "tokens a minute": _rate(sending.tokens_a_minute, sending.tpm),
        "requests a minute": _rate(sending.requests_a_minute, sending.rpm),
        "retries": f"{sending.retries:,}" if sending.retries else "",
        "left": _left(sending),
    }
    return {name: figure for name, figure in found.items() if figure}


def line(advance: Advance) -> str:
    """How far a stage has come, in one line."""
    found = figures(advance)
    if not found:
        return _of(advance.done, advance.total)
    return ", ".join(said(name, figure) for name, figure in found.items())


def said(name: str, figure: str) -> str:
    """A figure with its name, as they stand in a line."""
    if name in ("spent", "left"):
        return figure
    number, bracket, rest = figure.partition(" (")
    return f"{number} {name}{bracket}{rest}"


def time(seconds: float) -> str:
    """A time as people say it: 45 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _of(done: int, total: int | None) -> str:
    return f"{done:,}" if total is None else f"{done:,} of {total:,}"


def _rate(rate: float, quota: int | None) -> str:
    if not rate:
        return ""
    return f"{rate:,.0f}" if quota is None else f"{rate:,.0f} ({rate / quota:.0%} of the quota)"


def _left(sending: Sending) -> str:
    if sending.left is None:
        return "waiting for an answer" if sending.seconds >= 1 else ""
    return f"about {time(sending.left)} left" if sending.left else ""


def comparison_rows(values: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What two generations come to, side by side: what it is, of the live one, of the other."""
    live, new, k = values["live"], values["next"], values["top_k"]
    both = f"of both, {values['questions']:,} questions"
    rows: list[tuple[Any, ...]] = [
        ("generation", live["generation"], new["generation"]),
        ("space", live["space"], new["space"]),
        ("splitter", live["splitter"], new["splitter"]),
        ("chunks", f"{live['chunks']:,}", f"{new['chunks']:,}"),
        (f"overlap of the first {k}", f"{values['overlap']:.3f}", both),
        ("rank correlation", f"{values['correlation']:.3f}", both),
        (f"recall@{k}", *(_share(side["recall"]) for side in (live, new))),
        ("nDCG@10", *(_share(side["ndcg"]) for side in (live, new))),
        (
            "search",
            *(f"{side['search_ms']:.1f} ms, 95 %: {side['search_ms_95']:.1f} ms" for side in (live, new)),
        ),
        ("embed a question", *(_milliseconds(side["embed_ms"]) for side in (live, new))),
        ("size", *(f"{side['bytes'] / 1e6:,.1f} MB" for side in (live, new))),
        ("to embed it all", *(_cost(side) for side in (live, new))),
    ]
    return [(name, str(a), str(b)) for name, a, b in rows if a or b]


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _milliseconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} ms"


def _cost(side: Mapping[str, Any]) -> str:
    cost = side["cost_usd"]
    money = "price not known" if cost is None else f"{cost:.6f} USD" if cost else "nothing"
    return f"{money}, {side['tokens']:,} tokens"
