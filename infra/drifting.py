"""Drift as a schedule asks for it: which version a table is compared with, and when that is an alarm."""

from datetime import UTC, datetime, timedelta
from typing import Any

from infra.evaluate_form import DriftConfig
from pipeline.analysis.drift import Alarm, Side, drift
from pipeline.analysis.population import Population
from pipeline.objects import Objects
from pipeline.store.log import Entry, Log
from pipeline.store.versions import entry_at


def drifted(store: Objects, table: str, entry: Entry, form: DriftConfig) -> dict[str, Any]:
    """How a version differs from an earlier one, as JSON.

    Where the earlier one is that version itself, nothing has been published since: there is nothing to tell.
    """
    before = (
        entry_at(store, table, form.before) if form.before else _live_then(store, table, entry, form.days)
    )
    names = {"before": f"version {before.version}", "after": f"version {entry.version}"}
    if before.version == entry.version:
        return {**names, "alarm": False, "reasons": [], "published_since": False}
    sides = (
        Side(names[side], Population.of(store, table, one.version))
        for side, one in (("before", before), ("after", entry))
    )
    found = drift(*sides, alarm=Alarm(form.p, form.effect))
    return {**found.record(), "published_since": True}


def _live_then(store: Objects, table: str, entry: Entry, days: float) -> Entry:
    """The version that was live so long ago; of a table that is younger, or changed its space, the first."""
    moment = datetime.now(UTC) - timedelta(days=days)
    space, found = entry.specs()[0].fingerprint, entry
    for one in Log(store, table).newest():
        if one.version >= entry.version or not one.chunks:
            continue
        if one.specs()[0].fingerprint != space:
            break
        found = one
        if one.time <= moment:
            break
    return found
