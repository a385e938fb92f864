"""vecmill dead-letters: what could not be embedded, to be listed, tried once more, or let go."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import orjson
import typer

from flows import render, render_runs
from flows.options import Common, spread
from flows.render_progress import Bars
from flows.request import load
from infra.config import Config
from infra.settings import user
from pipeline.errors import InputError, UsageError
from pipeline.job import Job
from pipeline.letters import DeadLetters, Letter
from pipeline.objects import Objects, resolved

_Ids = Annotated[
    list[str] | None, typer.Argument(help="Letters by id, or by its beginning; all if left out.")
]


@dataclass(frozen=True, slots=True)
class Which:
    """Which letters."""

    run: Annotated[str | None, typer.Option(help="Those of a run.")] = None
    table: Annotated[str | None, typer.Option(help="Those of a table.")] = None
    stage: Annotated[str | None, typer.Option(help="Those of a stage: list, split or embed.")] = None
    reason: Annotated[str | None, typer.Option(help="Those whose reason holds this.")] = None

    def takes(self, letter: Letter) -> bool:
        """Whether a letter is one of them."""
        asked = ((self.run, letter.run_id), (self.table, letter.table), (self.stage, letter.stage))
        same = all(wanted is None or wanted == found for wanted, found in asked)
        return same and (self.reason is None or self.reason.casefold() in letter.reason.casefold())


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    group = typer.Typer(
        help="What could not be embedded: list it, try it again, or dismiss it.",
        invoke_without_command=True,
    )
    group.callback()(spread(_listed_if_alone))
    group.command(name="list")(spread(list_letters))
    group.command()(spread(replay))
    group.command()(spread(dismiss))
    app.add_typer(group, name="dead-letters")


def _listed_if_alone(context: typer.Context, which: Which, common: Common) -> None:
    if context.invoked_subcommand is None:
        list_letters(which, common)


def list_letters(
    which: Which,
    common: Common,
    ids: _Ids = None,
    dismissed: Annotated[bool, typer.Option("--dismissed", help="Those that were dismissed, too.")] = False,
) -> None:
    """What could not be embedded, the latest first."""
    found = _chosen(load(common), which, ids, dismissed=dismissed)
    (render.json_document if common.json else render_runs.letters)([letter.record() for letter in found])


def replay(
    which: Which,
    common: Common,
    ids: _Ids = None,
    base_url: Annotated[str | None, typer.Option(help="The endpoint, if it is another one now.")] = None,
    api_key_env: Annotated[str | None, typer.Option(help="The variable that holds the key.")] = None,
) -> None:
    """Ingest the documents of letters once more; pays for nothing but what failed."""
    from infra.again import as_now, with_access
    from infra.wiring import make_engines
    from pipeline.run import ingest

    config = load(common)
    store = Objects(config.store.uri)
    chosen = _chosen(config, which, ids)
    nameless = [letter for letter in chosen if not letter.doc_id]
    reports = []
    with Bars.of(common) as bars:
        for record, letters in _by_job(store, [letter for letter in chosen if letter.doc_id]):
            now = as_now(replace(Job.of(record), store=resolved(config.store.uri)), store)
            job = with_access(now, config, record, {"api_key_env": api_key_env, "base_url": base_url})
            only = tuple(sorted({letter.doc_id for letter in letters}))
            # They have failed before, and may again: what goes through is published.
            job = replace(job, only=only, budget=replace(job.budget, failures=1.0))
            reports.append(ingest(job, make_engines(_engine(config, job), job, None), progress=bars).record())
    left = {(letter.table, letter.id) for letter in DeadLetters(store).all() if letter.state == "open"}
    failed = [letter for letter in chosen if (letter.table, letter.id) in left]
    through = len(chosen) - len(failed)
    if common.json:
        values = {"letters": len(chosen), "cleared": through, "open": len(failed), "runs": reports}
        render.json_document(values)
        return
    for report in reports:
        render.report(report)
    render.out.print(f"{through:,} of {_count(len(chosen))} went through")
    if failed:
        render_runs.letters([letter.record() for letter in failed])
    if nameless:
        render.note(
            f"{len(nameless):,} letters name no document, since their source could not tell one: "
            "mend the source, and ingest it"
        )


def dismiss(
    which: Which,
    common: Common,
    why: Annotated[str, typer.Option(help="The reason, for those who come after.")],
    ids: _Ids = None,
    by: Annotated[str | None, typer.Option(help="Who says so; the user of this machine.")] = None,
) -> None:
    """Let letters go: they are reported no more, nor counted as failures; who, when and why is kept."""
    if not ids and which == Which():
        raise UsageError("say which letters to dismiss: their ids, or --run, --table, --stage or --reason")
    if not why.strip():
        raise UsageError("--why is empty; say why, for those who come after")
    config = load(common)
    chosen = _chosen(config, which, ids)
    DeadLetters(Objects(config.store.uri)).dismiss(chosen, by or user(), why.strip())
    if common.json:
        render.json_document({"dismissed": [letter.id for letter in chosen]})
    else:
        render.out.print(f"{_count(len(chosen))} dismissed")


def _count(letters: int) -> str:
    return f"{letters:,} dead letter{'' if letters == 1 else 's'}"


def _chosen(
    config: Config, which: Which, ids: Sequence[str] | None, *, dismissed: bool = False
) -> list[Letter]:
    """The letters that a command names; raises InputError for an id that none has."""
    states = ("open", "dismissed") if dismissed else ("open",)
    found = [
        letter
        for letter in DeadLetters(Objects(config.store.uri)).all()
        if letter.state in states and which.takes(letter)
    ]
    for start in ids or ():
        if not any(letter.id.startswith(start) for letter in found):
            raise InputError(f"there is no such dead letter {start!r}; vecmill dead-letters lists them")
    return [letter for letter in found if not ids or letter.id.startswith(tuple(ids))]


def _by_job(store: Objects, letters: Sequence[Letter]) -> list[tuple[dict[str, Any], list[Letter]]]:
    """Letters with the record of the job that they are of; those of one source and table go together."""
    from pipeline.ledger import Ledger

    ledger, groups = Ledger(store), dict[bytes, tuple[dict[str, Any], list[Letter]]]()
    for letter in letters:
        record = ledger.run(letter.run_id)["job"]
        same = {name: record[name] for name in ("table", "source", "splitter", "space")}
        key = orjson.dumps(same, option=orjson.OPT_SORT_KEYS)
        groups.setdefault(key, (record, []))[1].append(letter)
    return list(groups.values())


def _engine(config: Config, job: Job) -> str:
    declared = config.pipelines.get(job.pipeline or "")
    return declared.engine if declared else "auto"
