"""vecmill up and vecmill deploy: the schedules of vecmill.toml, here or on a server that is there."""

import signal
import threading
from pathlib import Path
from typing import Annotated, Any

import typer

from flows import render
from flows.options import Common, spread
from flows.request import load
from infra.config import Config
from infra.nearby import HOME, announced
from infra.settings import keep_prefect_in, read_environment, use_prefect
from pipeline.errors import InputError, UsageError
from pipeline.objects import is_remote, resolved


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(spread(up))
    app.command()(spread(deploy))


def up(
    common: Common,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where the dashboard listens.")] = 4200,
    host: Annotated[
        str, typer.Option(help="By which address; there is no password before it.")
    ] = "127.0.0.1",
    home: Annotated[
        Path | None, typer.Option(help="Where the server keeps its database; in the store's folder.")
    ] = None,
) -> None:
    """Server, dashboard, worker and the schedules of vecmill.toml, on this machine, until Ctrl-C."""
    from infra.prefect_server import POOL, Place, Services

    config = load(common)
    place = Place(_home(config, home), host, port)
    keep_prefect_in(place.home)
    services, told = Services(place), threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: told.set())
    render.err.print("starting the server (some ten seconds) …")
    services.start_server()
    try:
        use_prefect({**place.environment(), **_config_file(common)})
        changes = _registered(config, POOL, _variables(common), kind="process")
        _given_back(POOL)
        services.worker.start()
        _told(changes, common)
        with announced(config.store.uri, place.api):
            render.err.print(f"the dashboard is at [bold]{place.dashboard}[/], its logs are in {place.home}")
            render.err.print(_reached(config, place.api))
            services.watch(render.note, told.is_set)
        render.err.print("stopping: runs are told to, and keep what is paid …")
    finally:
        services.stop()


def deploy(
    common: Common,
    pool: Annotated[str, typer.Option(help="The work pool: process, docker or kubernetes.")] = "vecmill",
    image: Annotated[str | None, typer.Option(help="The container image of the pool's jobs.")] = None,
) -> None:
    """Register what vecmill.toml names on the server of PREFECT_API_URL; remove what it names no more."""
    if read_environment().prefect_api_url is None:
        raise UsageError("PREFECT_API_URL names no server; set it, or run vecmill up to have one here")
    variables: dict[str, Any] = _variables(common)
    if image:
        variables["image"] = image
    _told(_registered(load(common), pool, variables), common)


def _registered(config: Config, pool: str, variables: dict[str, Any], kind: str | None = None) -> Any:
    """Register all that a configuration names, with a pool; makes the pool where its `kind` is given."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectNotFound

    from flows.deployments import Pool, deployments, register
    from tasks.automations import register_automations

    with get_client(sync_client=True) as client:
        problem = client.api_healthcheck()
        if problem:
            raise InputError(f"{client.api_url} does not answer: {problem}")
        try:
            found = client.read_work_pool(pool)
        except ObjectNotFound:
            if kind is None:
                raise InputError(
                    f"the server has no work pool {pool!r}; make it by prefect work-pool create {pool} "
                    "--type process (or docker, or kubernetes), or name another --pool"
                ) from None
            found = client.create_work_pool(WorkPoolCreate(name=pool, type=kind))
        if "image" in variables and found.type == "process":
            raise UsageError(f"--image is for pools that start containers; {pool} starts processes")
        register_automations(client)
        return register(client, deployments(config), Pool(pool, variables))


def _given_back(pool: str) -> None:
    """Let no run look alive that ended with the worker before this one, and missed ones be done once."""
    from prefect.client.orchestration import get_client

    from tasks.lost import catch_up_once, give_back

    with get_client(sync_client=True) as client:
        lost = give_back(client, pool)
        catch_up_once(client, pool)
    if lost:
        render.note(
            f"{lost:,} runs had ended with the worker before this one; they do not look alive any more"
        )


def _variables(common: Common) -> dict[str, Any]:
    """What a pool's jobs are given."""
    from infra.prefect_server import RUN_ENVIRONMENT

    return {"env": {**RUN_ENVIRONMENT, **_config_file(common)}}


def _config_file(common: Common) -> dict[str, str]:
    """The configuration file as runs find it: reruns look there how an endpoint is reached now."""
    named = common.config or read_environment().config or "vecmill.toml"
    return {"VECMILL_CONFIG": str(Path(named).absolute())} if Path(named).is_file() else {}


def _home(config: Config, named: Path | None) -> Path:
    if named is not None:
        return named.absolute()
    if is_remote(config.store.uri):
        return Path.home() / ".vecmill" / HOME
    return Path(resolved(config.store.uri)) / HOME


def _reached(config: Config, api: str) -> str:
    """How commands come to start their runs on this server."""
    elsewhere = f"export PREFECT_API_URL={api}"
    if is_remote(config.store.uri):
        return f"to start runs from here: {elsewhere}"
    return f"commands on this store start their runs here; for those on others: {elsewhere}"


def _told(changes: Any, common: Common) -> None:
    values = {name: getattr(changes, name) for name in ("created", "changed", "unchanged", "removed")}
    if common.json:
        render.json_document(values)
        return
    for name, deployments in values.items():
        if deployments:
            render.out.print(f"{name + ' ':<10} {', '.join(deployments)}")
