"""Starts Ray, or joins the cluster that is there, and ends only what it started."""

import logging
import os
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from infra.ray_engine import RayEngine
from pipeline.errors import InputError
from pipeline.ports import Engine

_MOST_WORKERS = 8


@contextmanager
def open_ray(address: str | None, workers: int | None) -> Iterator[Engine]:
    """Give an engine over Ray: the cluster at `address`, or one of this machine's own for this run."""
    import ray

    handler = signal.getsignal(signal.SIGTERM)
    started = not ray.is_initialized()
    if started:
        _start(address, workers)
    try:
        _restore(handler)  # ray.init puts its own in place
        has = ray.cluster_resources()  # type: ignore[no-untyped-call]
        # A worker beyond the cluster's cores would wait for one, and its requests with it.
        yield RayEngine(max(1, min(workers or _MOST_WORKERS, int(has.get("CPU", 1)))), int(has.get("GPU", 0)))
    finally:
        if started:
            ray.shutdown()
            _restore(handler)


def _restore(handler: Any) -> None:
    if threading.current_thread() is threading.main_thread():  # elsewhere Ray has set none either
        signal.signal(signal.SIGTERM, handler)


def _start(address: str | None, workers: int | None) -> None:
    import ray

    with warnings.catch_warnings(), _groups_of_their_own():
        # Ray forks only to start other programs, which is safe for Lance.
        warnings.filterwarnings("ignore", "lance is not fork-safe")
        try:
            ray.init(
                address=address or "local",
                num_cpus=None if address else max(os.cpu_count() or 1, workers or 1),
                include_dashboard=None if address else False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                namespace="vecmill",
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise InputError(f"Ray cannot be started at {address or 'this machine'}: {error}") from error


@contextmanager
def _groups_of_their_own() -> Iterator[None]:
    """Keep Ray's processes out of this one's group.

    Who cancels a run signals its whole group, and a run whose Ray is gone can only hang: it is the run
    that ends Ray. Where it is killed instead, the kernel ends them.
    """
    from ray._private import services

    inside: Any = services  # Ray has no setting for it
    popen = inside.ConsolePopen
    inside.ConsolePopen = partial(popen, process_group=0)
    try:
        yield
    finally:
        inside.ConsolePopen = popen
