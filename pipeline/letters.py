"""Dead letters: what could not be embedded, until it goes through or somebody dismisses it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import orjson

from pipeline.objects import Objects

_FOLDER = "dead-letters"


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter as the latest run has left it."""

    id: str
    run_id: str
    table: str
    doc_id: str  # "" where the source could not even tell it
    uri: str
    stage: str
    reason: str
    excerpt: str
    text_hash: str  # of the chunk that is to blame; "" where the whole document is
    at: str  # when it failed last, ISO 8601
    generation: str = ""  # that the run was filling beside the live one; "": the live one
    state: str = "open"  # or "dismissed"
    by: str | None = None  # who dismissed it
    why: str | None = None
    dismissed_at: str | None = None

    def record(self) -> dict[str, Any]:
        """The letter as JSON."""
        return asdict(self)


class DeadLetters:
    """The dead letters of a store, one file each: who files one files it in place of the same one before."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def all(self, table: str | None = None) -> list[Letter]:
        """All letters, of one table or of all, the latest first."""
        paths = self._objects.paths(_FOLDER if table is None else f"{_FOLDER}/{table}")
        found = [Letter(**orjson.loads(data)) for data in self._objects.get_all(paths) if data]
        return sorted(sorted(found, key=lambda letter: letter.id), key=lambda letter: letter.at, reverse=True)

    def dismissed(self, table: str) -> dict[str, str]:
        """The ids of a table's letters that were dismissed, with the reasons that were accepted."""
        return {one.id: one.reason for one in self.all(table) if one.state == "dismissed"}

    def file(self, table: str, run_id: str, found: Iterable[Mapping[str, Any]], generation: str = "") -> None:
        """File a run's letters. One that was dismissed stays so, unless it fails for another reason now."""
        found, at = list(found), datetime.now(UTC).isoformat(timespec="milliseconds")
        dismissed = self.dismissed(table) if found else {}
        self._put(
            Letter(**{"run_id": run_id, "table": table, "at": at, "generation": generation, **one})
            for one in found
            if dismissed.get(one["id"]) != one["reason"]
        )

    def clear(self, letters: Iterable[Letter]) -> None:
        """Forget letters: what they are about has gone through, or is no more. Their runs remember them."""
        self._objects.delete_all([_path(letter) for letter in letters])

    def adopt(self, table: str, generation: str) -> None:
        """A generation has become live: its letters take the place of those about the old one's chunks.

        What could not even be read is still not there.
        """
        letters = self.all(table)
        mine = [one for one in letters if one.generation == generation]
        self._put(replace(one, generation="") for one in mine)
        self.clear(mine)
        ids = {one.id for one in mine}
        old = [one for one in letters if one.text_hash and not one.generation and one.id not in ids]
        self.clear(one for one in old if one.state == "open")

    def dismiss(self, letters: Sequence[Letter], by: str, why: str) -> None:
        """Stop reporting letters, and keep who said so, when, and why."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._put(replace(letter, state="dismissed", by=by, why=why, dismissed_at=at) for letter in letters)

    def _put(self, letters: Iterable[Letter]) -> None:
        written = ((_path(one), orjson.dumps(one, option=orjson.OPT_INDENT_2)) for one in letters)
        self._objects.put_all(written)


def _path(letter: Letter) -> str:
    beside = f"{letter.generation}/" if letter.generation else ""
    return f"{_FOLDER}/{letter.table}/{beside}{letter.id}.json"
