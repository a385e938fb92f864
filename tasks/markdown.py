"""A run's plan, report and failure in Markdown, for the dashboard."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.figures import time
from tasks.throughput import Throughput


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a run ended early, and what is left of it."""

    kind: str  # of the error
    message: str
    stage: str | None  # the one that it happened in
    spent: Mapping[str, Any] | None  # as the ledger has it
    letters: Sequence[Mapping[str, Any]] = ()


def plan(title: str, values: Mapping[str, Any]) -> str:
    """What a run is going to do."""
    embed, rounds = values["to_embed"], values.get("rounds")
    most = "at most " if rounds else ""
    seconds, hours = values["seconds_at_quota"], values["hours_at_most"]
    rows = [
        ("documents", _counts(values["documents"])),
        ("chunks", "known once sentences are embedded" if rounds else _counts(values["chunks"])),
        (
            "to embed",
            most + _amount(embed),
        ),
        ("known already", f"{values['cache_hits']:,} texts"),
        ("cost", most + _usd(values["cost_usd"])),
    ]
    if seconds is not None:
        rows.append(("at the quota", time(seconds)))
    if hours is not None:
        rows.append(("by batch", f"half the price, within {hours} h"))
    over = "\n\n**This is over the budget: nothing is paid.**" if values["over_budget"] else ""
    return table(f"Plan of {title}", rows) + over


def report(values: Mapping[str, Any], letters: int, seen: Throughput) -> str:
    """What a run did."""
    embedding, seconds = values["embedding"], dict(values["seconds"])
    total = seconds.pop("total")
    known = embedding["cache_hits"]
    rows = [
        ("documents", _counts(values["documents"])),
        ("chunks", _counts(values["chunks"])),
        (
            "embedded",
            _amount(embedding),
        ),
        ("known already", f"{known:,} texts"),
        ("retries", f"{embedding['retries']:,}; texts paid again: {embedding['paid_again']:,}"),
        ("space", embedding["space"]),
        ("cost", _usd(values["cost_usd"])),
        ("time", time(total)),
        ("run", f"`{values['run_id']}`"),
    ]
    parts = [table(_head(values), rows)]
    if letters:
        parts.append(
            f"**{letters:,} dead letter{'' if letters == 1 else 's'}**, with reasons in the artifact "
            f"*dead-letters*. Once mended: `vecmill dead-letters replay --run {values['run_id']}`, or the "
            "deployment *rerun* with this run."
        )
    parts.append("## Time a stage\n\n" + "\n".join(_bars(seconds)))
    image = seen.image()
    if image:
        parts.append(f"## Throughput\n\n![tokens a minute over the run]({image})")
    parts.append(f"## To look at it\n\n```\n{_look(values)}\n```")
    return "\n\n".join(parts)


def failed(title: str, run_id: str, failure: Failure) -> str:
    """Why a run ended early, and what to do."""
    spent = failure.spent or {}
    rows = [
        ("what", failure.kind),
        ("stage", failure.stage or "before the first"),
        (
            "spent",
            f"{spent.get('tokens', 0):,} tokens, {_usd(spent.get('cost_usd', 0.0))}; all of it is kept",
        ),
        ("dead letters", f"{len(failure.letters):,}"),
        ("run", f"`{run_id}`"),
    ]
    quoted = "\n".join(f"> {line}" for line in failure.message.splitlines()) or "> (no message)"
    return "\n\n".join(
        [
            table(f"{title} ended early", rows),
            f"## Why\n\n{quoted}",
            "## What to do\n\nMend what is said above. Then press *Retry* on this run, or start "
            f"the deployment *rerun* with run `{run_id}`, or `vecmill rerun {run_id}`: what is paid is not "
            "paid for again. Readers see the version that was live before.",
        ]
    )


def upkeep(done: Mapping[str, Any]) -> str:
    """What maintenance did, or would do."""
    rows = [
        "| table | fragments | rows indexed | old versions | orphans |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {name} | {one['compaction']['fragments_before']:,} to "
            f"{one['compaction']['fragments_after']:,} | {one['compaction']['indexed']:,} "
            f"| {one['retention']['versions']:,} "
            f"| {one['orphans']['files']:,} |"
            for name, one in done["tables"].items()
        ),
    ]
    head = "What would be done" if done["dry_run"] else "What was done"
    caches = ", ".join(f"{name}: {one['fragments']:,} fragments" for name, one in done["cache"].items())
    rest = (
        f"Taken into the cache: {done['spool']['requests']:,} requests. "
        f"Removed of ended runs: {done['runs']['files']:,} files."
    )
    return "\n".join([f"# {head}", "", *rows, "", f"Caches: {caches or 'none'}. {rest}"])


def scores(name: str, found: Mapping[str, Any]) -> str:
    """How well a table answers: a row for each way of searching it, and for each it is compared with."""
    rows = found.get("compared") or [{"mode": mode, **one} for mode, one in found["modes"].items()]
    parts = [f"# How well {name} answers"]
    for kind in (rows, found.get("pairs") or []):
        if kind:
            names = list(kind[0])
            lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
            parts.append(
                "\n".join(lines + [f"| {' | '.join(_score(one[of]) for of in names)} |" for one in kind])
            )
    if found.get("drift"):
        parts.append(_drift(found["drift"]))
    return "\n\n".join(parts)


def _drift(found: Mapping[str, Any]) -> str:
    """What differs from an earlier version, and whether that is an alarm."""
    sides = f"{found['before']} and {found['after']}"
    if not found["published_since"]:
        return f"## Drift\n\nNothing was published since {found['before']}."
    lines = [
        f"## Drift, {sides}",
        "",
        "| | documents | difference | p | centroid moved by |",
        "|---|---|---|---|---|",
    ]
    for name, one in (("all", found["whole"]), ("what is new", found["new"])):
        if one:
            told = (one["effect"], one["p"], one["centroid_shift"])
            cells = ["too few" if value is None else f"{value:.4f}" for value in told]
            documents = f"{one['documents_before']:,} and {one['documents_after']:,}"
            lines.append(f"| {name} | {documents} | {' | '.join(cells)} |")
    alarms = [f"**Alarm:** {_cell(reason)}" for reason in found["reasons"]] or ["No alarm."]
    return "\n\n".join(["\n".join(lines), *alarms])


def table(title: str, rows: Sequence[tuple[str, Any]]) -> str:
    """A title, and names with their values."""
    lines = [f"| {_cell(name)} | {_cell(value)} |" for name, value in rows]
    return "\n".join([f"# {title}", "", "| | |", "|---|---:|", *lines])


def _head(values: Mapping[str, Any]) -> str:
    name, version = values["table"], values["version"]
    if values["published"]:
        return f"Version {version} of {name} is live"
    if values.get("generation"):
        return f"Generation {values['generation']} of {name} is level with version {version}"
    stays = f", version {version} stays live" if version else ""
    return f"{name}: nothing changed{stays}"


def _look(values: Mapping[str, Any]) -> str:
    name, version, run_id = values["table"], values["version"], values["run_id"]
    lines = [f"vecmill runs {run_id}", f"vecmill versions {name}"]
    if values["published"] and version:
        lines.append(f'vecmill search "…" --table {name} --at {version}')
        if version > 1:
            lines.append(f"vecmill diff {name} {version - 1} {version}")
            lines.append(f"vecmill rollback {name} {version - 1}")
    return "\n".join(lines)


def _bars(seconds: Mapping[str, float]) -> list[str]:
    most = max(seconds.values(), default=0.0) or 1.0
    lines = ["| stage | seconds | |", "|---|---:|---|"]
    return lines + [
        f"| {name} | {value:.1f} | {'█' * round(24 * value / most)} |" for name, value in seconds.items()
    ]


def _counts(values: Mapping[str, int | None]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in values.items() if count) or "none"


def _amount(values: Mapping[str, int]) -> str:
    return f"{values['texts']:,} texts, {values['tokens']:,} tokens, {values['requests']:,} requests"


def _usd(cost: float | None) -> str:
    if cost is None:
        return "price not known"
    return f"{cost:.6f} USD" if cost else "nothing"


def _score(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else _cell(value)


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
