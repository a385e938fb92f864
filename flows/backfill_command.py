"""vecmill backfill: a table in another space, or cut otherwise, beside the live generation."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from flows import render, render_backfill
from flows.history_commands import TABLE
from flows.options import Common, Cut, Sending, spread
from flows.render_progress import Bars
from flows.request import load, option_of, with_options
from flows.served import served
from infra.backfill_form import BackfillConfig
from infra.config import Config
from infra.reach import access
from infra.settings import explain
from infra.splitter_form import SplitterConfig
from pipeline.errors import InputError, OverBudget, UsageError
from pipeline.job import Job
from pipeline.objects import Objects
from pipeline.ports import Progress
from pipeline.space import Space
from pipeline.store.log import Log, under_way
from pipeline.store.versions import generation_beside

if TYPE_CHECKING:
    from pipeline.backfill import Filling
    from pipeline.comparison import Comparison


@dataclass(frozen=True, slots=True)
class Against:
    """How the new generation is compared with the live one."""

    compare: Annotated[bool, typer.Option("--compare", help="Ask both the same questions.")] = False
    queries: Annotated[
        Path | None, typer.Option(help="Questions: a file of query_id and text; else sentences of the table.")
    ] = None
    qrels: Annotated[Path | None, typer.Option(help="What answers them: query_id, doc_id, relevance.")] = None
    sample: Annotated[int, typer.Option(help="Sentences that are drawn from the table.")] = 100
    top_k: Annotated[int, typer.Option(help="Hits of a question that count.")] = 10
    page: Annotated[Path | None, typer.Option(help="Write the comparison with its plots to this file.")] = (
        None
    )
    switch_if: Annotated[
        str | None,
        typer.Option(help="Switch if this holds, such as 'overlap@10>=0.8,recall@10>=live-0.01'."),
    ] = None

    @property
    def asked(self) -> bool:
        """Whether anything is to be compared."""
        return self.compare or any((self.queries, self.qrels, self.page, self.switch_if))


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(spread(backfill))


def backfill(
    table: TABLE,
    sending: Sending,
    cut: Cut,
    against: Against,
    common: Common,
    where: Annotated[
        str | None, typer.Option(help="Only documents with a chunk where this SQL holds.")
    ] = None,
    part: Annotated[int | None, typer.Option(help="Chunks that are done, and kept, at a time.")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="What it would do and cost; pays nothing.")] = False,
    switch: Annotated[bool, typer.Option("--switch", help="Make the new generation the live one.")] = False,
    drop: Annotated[bool, typer.Option("--drop", help="Throw the new generation away.")] = False,
) -> None:
    """Bring a table into another space, or cut it otherwise, beside the live generation."""
    if sum((plan, switch, drop)) > 1:
        raise UsageError("--plan, --switch and --drop are three things to do; give one of them")
    if (switch or against.switch_if) and where:
        raise UsageError("with --where a part of the table is done, which cannot become the table")
    config = load(common)
    form = refilled(config, table, {**asdict(sending), **asdict(cut)}, where, part)
    if drop:
        _drop(form, config, common)
    elif plan:
        _plan(form, config, common)
    else:
        _fill(form, config, common, against, switch=switch)


def refilled(
    config: Config, table: str, options: Mapping[str, Any], where: str | None, part: int | None
) -> BackfillConfig:
    """The form of a backfill; what options leave open is as the table, or the backfill before, has it."""
    values: dict[str, Any] = {"table": table, "where": where, "prices": config.prices}
    values |= {} if part is None else {"part": part}
    store = Objects(config.store.uri)
    live = Log(store, table).live()
    values["splitter"] = SplitterConfig.of(live.specs()[1]).model_dump(exclude_none=True)
    values["embedding"] = _access(config, store, table, options.get("embedding"))
    given = with_options(values, options)
    if "splitter" not in with_options({}, options):
        given["splitter"] = None
    try:
        return BackfillConfig.model_validate(given)
    except ValidationError as error:
        raise UsageError(explain(error, {name: option_of(name) for name in options})) from error


def _access(config: Config, store: Objects, table: str, named: str | None) -> dict[str, Any]:
    """How the new space is reached: as by the backfill before, or as the live one of the same provider."""
    begun = [log.live().specs()[0] for log in under_way(store, table)]
    same = [space for space in begun if named in (None, space.name)]
    own = Log(store, table).live().specs()[0]
    if not same and (named is None or Space.parse(named).provider != own.provider):
        return {}
    form = access(config, store, table, same[0] if same else own)
    others = {"provider", "model", "dimensions", "document_prefix", "query_prefix", "pooling", "matryoshka"}
    return form.model_dump(exclude=others | ({"price"} if not same else set()))


def _plan(form: BackfillConfig, config: Config, common: Common) -> None:
    from infra.again import make_backfill
    from pipeline.run import plan_only

    job = make_backfill(form, config.store.uri, pays=False)
    with Bars.of(common) as bars:
        values = plan_only(job, bars).record()
    if common.json:
        render.json_document({"table": form.table, "generation": job.generation, **values})
    else:
        render.plan(values)
    if values["over_budget"]:
        raise typer.Exit(OverBudget.exit_code)


def _fill(form: BackfillConfig, config: Config, common: Common, against: Against, *, switch: bool) -> None:
    from infra.again import make_backfill
    from infra.comparing import check_table_canaries
    from infra.wiring import make_engines
    from pipeline.backfill import backfill as fill
    from pipeline.backfill import brought_live
    from pipeline.condition import Condition

    conditions = Condition.parse(against.switch_if) if against.switch_if else ()
    job = make_backfill(form, config.store.uri)
    engines = make_engines(form.engine, job, form.workers)
    with Bars.of(common) as bars:
        if served(config.store, bars):
            filling = _as_a_flow(form, config)
        else:
            filling = fill(job, engines, progress=bars, part=form.part)
    _said(common, render_backfill.filling, filling.record())
    found, entry = None, None
    if against.asked:
        with Bars.of(common) as bars:
            found = _compared(config, job, against, bars)
        _write(found.record(), against)
        _said(common, render_backfill.comparison, found.record())
        found.check(conditions)
    if switch or conditions:
        check_table_canaries(config, job)
        with Bars.of(common) as bars:
            filling, entry = brought_live(job, filling, engines, progress=bars)
    values = {**filling.record(), "version": entry.version if entry else None}
    _said(common, render_backfill.outcome, values)
    if common.json:
        render.json_document({**values, "comparison": found.record() if found else None})
    elif entry is not None:
        for line in out_of_date(config, form.table, entry.specs()[0]):
            render.note(line)


def _as_a_flow(form: BackfillConfig, config: Config) -> "Filling":
    from prefect import tags

    from flows.backfill import backfill as flow
    from pipeline.backfill import Filling

    with tags("vecmill"):
        return Filling.of(flow(form, config.store))


def _said(common: Common, show: Callable[[dict[str, Any]], None], values: dict[str, Any]) -> None:
    """Show what a step came to, unless a program reads along."""
    if not common.json:
        show(values)


def _compared(config: Config, job: Job, against: Against, progress: Progress) -> "Comparison":
    from infra.comparing import compared

    names = (against.queries, against.qrels)
    queries, qrels = (str(name) if name else None for name in names)
    return compared(
        config, job, queries, qrels, top_k=against.top_k, sample=against.sample, progress=progress
    )


def _write(values: Mapping[str, Any], against: Against) -> None:
    """Write the page of a comparison, where one is asked for."""
    if against.page is None:
        return
    from tasks.comparison_page import page

    try:
        against.page.write_text(page(values), "utf-8")
    except OSError as error:
        raise InputError(f"{against.page} cannot be written: {error.strerror}") from error


def out_of_date(config: Config, table: str, space: Space) -> list[str]:
    """What a person has to change in vecmill.toml now that a table is of another space."""
    return [
        f"pipeline {name} of vecmill.toml names {own.name}, which table {table} is not of any more; write "
        f'provider = "{space.provider}", model = "{space.model}", dimensions = {space.dimensions} there'
        for name, form in config.pipelines.items()
        for own in [form.embedding.space()]
        if form.table == table and own is not None and own.name != space.name
    ]


def _drop(form: BackfillConfig, config: Config, common: Common) -> None:
    from infra.again import make_backfill
    from pipeline.store.generations import drop as throw_away

    store = Objects(config.store.uri)
    named = form.embedding.space() or form.splitter
    name = make_backfill(form, config.store.uri, pays=False).generation if named else None
    log = generation_beside(store, form.table, name)
    size = throw_away(store, log)
    if common.json:
        render.json_document({"table": form.table, "generation": log.generation, "bytes": size})
    else:
        said = (
            f"generation {log.generation} of {form.table} is gone, {size:,} bytes; what it paid for is kept"
        )
        render.out.print(render.escape(said))
