"""The command line: every command takes a pipeline's name, or a source given in place."""

import signal
import sys
from typing import Annotated, Any

import typer
from click.exceptions import Abort, ClickException

from flows import read_commands, render
from flows.options import Common, Rows, Run, spread
from flows.request import load, requested
from infra.config import PipelineConfig, StoreConfig
from infra.settings import be_quiet, read_environment
from pipeline.errors import VecmillError

app = typer.Typer(
    help="Turns documents into versioned vectors.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
read_commands.register(app)

_Source = Annotated[str, typer.Argument(help="A pipeline of vecmill.toml, or a folder, a file or a glob.")]

_INTERRUPTED = 130  # 128 + SIGINT, as shells have it
_DEFECT = 1


@app.command()
@spread
def ingest(source: _Source, run: Run, rows: Rows, common: Common) -> None:
    """Plan, embed, publish: one atomic version of the table."""
    config = load(common)
    pipeline = requested(source, run, rows, config)
    with render.Bars(common.quiet) as bars:
        values = perform(pipeline, config.store, bars)
    (render.json_document if common.json else render.report)(values)


@app.command()
@spread
def plan(source: _Source, run: Run, rows: Rows, common: Common) -> None:
    """What ingest would do, cost and take. Pays nothing, changes nothing."""
    from infra.wiring import make_job
    from pipeline.run import plan_only

    config = load(common)
    job = make_job(requested(source, run, rows, config), config.store.uri)
    with render.Bars(common.quiet) as bars:
        values = plan_only(job, bars).record()
    (render.json_document if common.json else render.plan)(values)
    if values["over_budget"]:
        raise typer.Exit(4)


@app.command()
@spread
def demo(common: Common) -> None:
    """The whole path on documents that vecmill carries: ingest, then search in two languages."""
    from flows.demo import run_demo

    run_demo(load(common).store, common)


@app.command()
@spread
def doctor(common: Common) -> None:
    """Check the setup, and say what to mend."""
    from infra.doctor import examine

    findings = examine(load(common))
    rows = [{"check": f.check, "ok": f.ok, "found": f.found, "mend": f.mend} for f in findings]
    if common.json:
        render.json_document(rows)
    else:
        render.rows([{**row, "ok": "yes" if row["ok"] else "NO"} for row in rows])
    if not all(row["ok"] for row in rows):
        raise typer.Exit(3)


def perform(pipeline: PipelineConfig, store: StoreConfig, progress: render.Bars) -> dict[str, Any]:
    """Run a pipeline: as a flow where a Prefect server is named, else in this process as it is."""
    if read_environment().prefect_api_url:
        from flows.ingest import ingest as flow
        from tasks.progress import listen

        listen(progress)
        return flow(pipeline, store)
    from infra.wiring import make_engines, make_job
    from pipeline.run import ingest as run_ingest

    job = make_job(pipeline, store.uri)
    return run_ingest(job, make_engines(pipeline.engine, job, pipeline.workers), progress=progress).record()


def main() -> None:
    """Run the command line, and exit with a code that says what happened."""
    be_quiet()
    # What ends a run politely is one thing, however it arrives: what is paid for is kept.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    sys.exit(_run(sys.argv[1:]))


def _run(arguments: list[str]) -> int:
    as_json = "--json" in arguments
    try:
        app(arguments, standalone_mode=False)
    except VecmillError as error:
        return _failed(str(error), error.exit_code, type(error).__name__, as_json)
    except typer.Exit as error:
        return error.exit_code
    except ClickException as error:
        return _failed(error.format_message(), 2, "UsageError", as_json)
    except (KeyboardInterrupt, Abort):
        return _failed("interrupted; what was paid is kept", _INTERRUPTED, "Interrupted", as_json)
    return 0


def _failed(message: str, code: int, kind: str, as_json: bool) -> int:
    render.complain(message)
    if as_json:
        render.json_document({"error": {"kind": kind, "message": message, "exit_code": code}})
    return code


if __name__ == "__main__":
    main()
