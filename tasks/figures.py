"""A run's progress in figures for people, the same on a terminal and on the dashboard."""

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
