"""Measures contenders in turns, so that a noisy machine is equally unfair to all of them."""

import gc
import math
import multiprocessing
import statistics
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import TypeVar

T = TypeVar("T")

Step = Callable[[], object]
Make = Callable[[], Step]
"""Makes a contender anew: what that takes is not measured, and what it remembered is forgotten."""


def medians(rounds: int, contenders: Mapping[str, Step]) -> dict[str, float]:
    """Run each contender once a round; gives the median of each one's wall-clock seconds."""

    def measure(number: int, name: str) -> float:
        began = time.perf_counter()
        contenders[name]()
        seconds = time.perf_counter() - began
        print(f"  round {number}: {name} {seconds:.2f} s", flush=True)
        return seconds

    found = _in_turns(rounds, list(contenders), measure)
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def cpu_rounds(
    rounds: int, contenders: Mapping[str, Make], limit: float | None = None
) -> dict[str, list[float]]:
    """Make and run each contender once a round; gives each one's CPU seconds, round by round.

    With a limit each runs in a process of its own; infinity for one that is not done after so many seconds,
    which is not run again.
    """

    def measure(_: int, name: str) -> float:
        if limit is None:
            return cpu_seconds(contenders[name]())
        seconds = apart(lambda: cpu_seconds(contenders[name]()), limit)
        return math.inf if seconds is None else seconds

    return _in_turns(rounds, list(contenders), measure)


def cpu_seconds(step: Step) -> float:
    """The CPU seconds that a step takes, of all its threads.

    What was there before it is kept out of the collector's sight: how large that is depends on what the
    benchmark has loaded, for all contenders alike.
    """
    gc.collect()
    gc.freeze()
    try:
        began = time.process_time()
        step()
        return time.process_time() - began
    finally:
        gc.unfreeze()


def apart(step: Callable[[], T], limit: float) -> T | None:
    """What a step gives in a process of its own; None where it is not done after `limit` seconds."""
    context = multiprocessing.get_context("fork")  # what the step works on is there without being sent
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(step, sender))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "lance is not fork-safe")  # no step opens a table
        process.start()
    sender.close()
    try:
        found: T | None = receiver.recv() if receiver.poll(limit) else None
        return found
    finally:
        process.kill()
        process.join()


def ratio(found: Mapping[str, float], ours: str, peer: str, most: float) -> None:
    """Print how many times the peer's time ours takes, and what it may be at most."""
    share = found[ours] / found[peer]
    verdict = "within" if share <= most else "OVER"
    print(f"{ours}: {found[ours]:.2f} s, {peer}: {found[peer]:.2f} s, ratio {share:.2f} ({verdict} {most:g})")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table as Markdown has it: the first column to the left, the others to the right."""
    widths = [max(3, *map(len, column)) for column in zip(header, *rows, strict=True)]
    rule = [f":{'-' * (widths[0] - 1)}", *(f"{'-' * (width - 1)}:" for width in widths[1:])]
    for row in (header, rule, *rows):
        others = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        print("|", " | ".join([row[0].ljust(widths[0]), *others]), "|")
    print(flush=True)


def _in_turns(
    rounds: int, names: Sequence[str], measure: Callable[[int, str], float]
) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names:
            if math.inf not in seconds[name]:
                seconds[name].append(measure(number + 1, name))
    return seconds


def _send(step: Callable[[], object], sender: Connection) -> None:
    sender.send(step())
