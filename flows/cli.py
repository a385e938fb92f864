"""The command line: every command takes a pipeline's name, or a source given in place."""

import gc
import signal
import sys
import traceback
from importlib.metadata import version
from typing import Annotated, Any, cast

import typer

from flows import (
    analyze,
    backfill_command,
    cache_commands,
    dead_letters,
    evaluate_command,
    export_commands,
    history_commands,
    index_command,
    maintain_command,
    read_commands,
    render,
    rerun_command,
    tune_command,
    up_command,
)
from flows.options import Common, Cut, Rows, Run, spread
from flows.render_progress import Bars
from flows.request import load, requested, settled
from flows.served import served
from infra.config import PipelineConfig, StoreConfig
from infra.settings import be_quiet
from pipeline.errors import InputError, OverBudget, UsageError, VecmillError

app = typer.Typer(
    help="Turns documents into versioned vectors.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
read_commands.register(app)
history_commands.register(app)
export_commands.register(app)
index_command.register(app)
evaluate_command.register(app)
dead_letters.register(app)
cache_commands.register(app)
maintain_command.register(app)
backfill_command.register(app)
rerun_command.register(app)
up_command.register(app)
analyze.register(app)
tune_command.register(app)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"vecmill {version('vecmill')}")
        raise typer.Exit


@app.callback()
def _any_command(
    _told: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None:
    return


_Source = Annotated[str, typer.Argument(help="A pipeline of vecmill.toml, or a folder, a file or a glob.")]

_INTERRUPTED = 130  # 128 + SIGINT, as shells have it


@app.command()
@spread
def ingest(source: _Source, run: Run, cut: Cut, rows: Rows, common: Common) -> None:
    """Plan, embed, publish: one atomic version of the table."""
    config = load(common)
    pipeline = settled(source, requested(source, run, cut, rows, config), config)
    with Bars.of(common) as bars:
        values = perform(pipeline, config.store, bars)
    (render.json_document if common.json else render.report)(values)


@app.command()
@spread
def plan(source: _Source, run: Run, cut: Cut, rows: Rows, common: Common) -> None:
    """What ingest would do, cost and take. Pays nothing, changes nothing."""
    from infra.wiring import make_job
    from pipeline.run import plan_only

    config = load(common)
    pipeline = settled(source, requested(source, run, cut, rows, config), config)
    job = make_job(pipeline, config.store.uri, pays=False)
    with Bars.of(common) as bars:
        values = plan_only(job, bars).record()
    (render.json_document if common.json else render.plan)(values)
    if values["over_budget"]:
        raise typer.Exit(OverBudget.exit_code)


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
        raise typer.Exit(InputError.exit_code)


def perform(pipeline: PipelineConfig, store: StoreConfig, progress: Bars) -> dict[str, Any]:
    """Run a pipeline: as a flow where a Prefect server is named, else in this process as it is."""
    if served(store, progress):
        from prefect import tags

        from flows.ingest import ingest as flow

        with tags("vecmill"):
            # Whoever waits at a terminal wants it done, whatever a schedule does meanwhile.
            return cast(dict[str, Any], flow(pipeline.model_copy(update={"overlap": "wait"}), store))
    from infra.telemetry import measured
    from infra.wiring import make_engines, make_job
    from pipeline.ports import run_here
    from pipeline.run import ingest as run_ingest

    job = make_job(pipeline, store.uri)
    engines = make_engines(pipeline.engine, job, pipeline.workers)
    with measured(job, run_here) as (runner, count):
        values = run_ingest(job, engines, runner, progress).record()
        count(values)
    return values


def main() -> None:
    """Run the command line, and exit with a code that says what happened."""
    gc.set_threshold(50_000)  # libraries make many objects as they are imported, and all of them stay
    be_quiet()
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(_run(sys.argv[1:]))


def _interrupt(*_: object) -> None:
    """What ends a run politely is one thing, however it arrives: what is paid for is kept."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # so shells start what is in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.raise_signal(signal.SIGINT)


def _run(arguments: list[str]) -> int:
    as_json = "--json" in arguments
    try:
        # Typer turns an Exit into its code, and Ctrl-C into 130.
        code: int = app(arguments or ["--help"], prog_name="vecmill", standalone_mode=False) or 0
    except VecmillError as error:
        return _failed(str(error), error.exit_code, type(error).__name__, as_json)
    except typer.TyperException as error:
        return _failed(error.format_message(), UsageError.exit_code, UsageError.__name__, as_json)
    except (KeyboardInterrupt, typer.Abort):
        code = _INTERRUPTED
    except Exception as error:
        traceback.print_exc()
        said = f"this is a defect of vecmill, please report it: {type(error).__name__}: {error}"
        return _failed(said, VecmillError.exit_code, "Defect", as_json)
    if code == _INTERRUPTED:
        return _failed("interrupted; what was paid is kept", code, "Interrupted", as_json)
    return code


def _failed(message: str, code: int, kind: str, as_json: bool) -> int:
    message = message.encode("utf-8", "backslashreplace").decode()  # it may name a file in no UTF-8
    render.complain(message)
    if as_json:
        render.json_document({"error": {"kind": kind, "message": message, "exit_code": code}})
    return code


if __name__ == "__main__":
    main()
