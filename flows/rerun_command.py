"""vecmill rerun: takes up a run that did not end well, or repeats one."""

from dataclasses import asdict
from typing import Annotated, Any, cast

import typer
from pydantic import ValidationError

from flows import render
from flows.options import Common, Cut, Sending, spread
from flows.render_progress import Bars
from flows.request import load, option_of, with_options
from flows.served import served
from infra.config import Config
from infra.rerun_form import RerunConfig
from infra.settings import explain
from infra.splitter_form import SplitterConfig
from pipeline.errors import UsageError
from pipeline.objects import Objects


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(spread(rerun))


def rerun(
    run_id: Annotated[str, typer.Argument(help="The run, as vecmill runs lists it.")],
    sending: Sending,
    cut: Cut,
    common: Common,
    scope: Annotated[
        str, typer.Option(help="failed: what is missing; all: every document, changed or not.")
    ] = "failed",
    table: Annotated[str | None, typer.Option(help="Another table than the run's, with --scope all.")] = None,
) -> None:
    """Take up a run that did not end well, or repeat one; known texts are not paid for again."""
    from infra.again import make_rerun
    from infra.wiring import make_engines
    from pipeline.rerun import rerun as run_again

    config = load(common)
    form = _form(config, run_id, {**asdict(sending), **asdict(cut)}, scope, table)
    with Bars.of(common) as bars:
        if served(config.store, bars):
            from prefect import tags

            from flows.rerun import rerun as flow

            with tags("vecmill"):
                values = cast(dict[str, Any], flow(form, config.store))
        else:
            again = make_rerun(form, config)
            values = run_again(again, make_engines(form.engine, again.job, form.workers), progress=bars)
    (render.json_document if common.json else render.report)(values)


def _form(config: Config, run_id: str, options: dict[str, Any], scope: str, table: str | None) -> RerunConfig:
    """The form of a rerun: the words of the command over what the run was."""
    from infra.again import job_of
    from pipeline.ledger import Ledger

    job = job_of(Ledger(Objects(config.store.uri)).run(run_id))
    usual = SplitterConfig.of(job.splitter).model_dump(exclude_none=True)
    given = with_options({"splitter": usual}, options)
    if "splitter" not in with_options({}, options):
        del given["splitter"]
    try:
        return RerunConfig.model_validate({**given, "run_id": run_id, "scope": scope, "table": table})
    except ValidationError as error:
        raise UsageError(explain(error, {name: option_of(name) for name in (*options, "scope")})) from error
