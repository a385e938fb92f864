"""How throughput grows with workers, and whether memory grows with the run.

    uv run --group benchmarks python -m tests.benchmarks.embedding_scaling [--rounds N] [--texts N]

An endpoint answers after 200 ms, without any limit. One and four Ray workers, four requests at once each,
take turns; the ratio of their throughput counts. Then runs of a tenth of the texts and of all of them are
sent by two workers, and the most memory that the driver and a worker ever had is read.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from statistics import median

from infra.settings import be_quiet
from pipeline.job import Job
from pipeline.model import Outcome, Request
from pipeline.ports import Engine
from pipeline.space import Space
from tests.benchmarks.embedding_overhead import endpoint, staged
from tests.benchmarks.side_by_side import table

_SPACE = Space("openai", "text-embedding-3-small", 64)
_LATENCY = "0.2"  # seconds
_AT_ONCE = 4  # requests a worker: few enough that four of them leave two cores some time
_MOST_GROWTH = 1.25  # of memory, for ten times the texts: what a garbage collector makes of it included


def main() -> None:
    """Print throughput by workers, and memory by texts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--texts", type=int, default=1_000_000, help="of the larger run")
    parser.add_argument("--only", choices=("throughput", "memory"))
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    be_quiet()
    if given.child:
        url, texts, workers, batch = given.child
        print(json.dumps(_run(url, int(texts), int(workers), int(batch))))
        return
    if given.only in (None, "throughput"):
        _throughput(given.rounds)
    if given.only in (None, "memory"):
        _memory(given.texts)


def _throughput(rounds: int) -> None:
    found: dict[int, list[float]] = {1: [], 4: []}
    with endpoint("--latency", _LATENCY, "--dimensions", "64") as url:
        for _ in range(rounds):
            for workers, speeds in found.items():
                texts = 8000 * workers
                speeds.append(_child(url, texts, workers, 16)["speed"])
    rows = [[str(workers), f"{median(speeds):.0f}"] for workers, speeds in found.items()]
    table(["workers", "texts a second"], rows)
    share = median(four / one for four, one in zip(found[4], found[1], strict=True))
    print(f"4 workers, against 1: {share:.2f} times (>= 3.6 {'ok' if share >= 3.6 else 'BELOW'})\n")


def _memory(most: int) -> None:
    with endpoint("--dimensions", "64") as url:
        found = [_child(url, texts, 2, 128) for texts in (most // 10, most)]
    rows = [
        [f"{texts:,}", f"{one['driver']:.0f}", f"{one['worker']:.0f}", f"{one['speed']:.0f}"]
        for texts, one in zip((most // 10, most), found, strict=True)
    ]
    table(["texts", "driver, MB", "worker, MB", "texts a second"], rows)
    for who in ("driver", "worker"):
        share = found[1][who] / found[0][who]
        verdict = "ok" if share <= _MOST_GROWTH else "OVER"
        print(f"{who}: {share:.2f} times the memory for ten times the texts (<= {_MOST_GROWTH:g} {verdict})")


def _child(url: str, texts: int, workers: int, batch: int) -> dict[str, float]:
    words = [sys.executable, "-m", "tests.benchmarks.embedding_scaling"]
    words += ["--child", url, str(texts), str(workers), str(batch)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _run(url: str, texts: int, workers: int, batch: int) -> dict[str, float]:
    """Send texts; gives how many a second, and the most memory, in MB."""
    from infra.ray_cluster import open_ray
    from pipeline.stages.embed import embed

    with tempfile.TemporaryDirectory(prefix="vecmill-benchmark-") as folder:
        # Staged by another process: what making them takes is not this run's memory.
        staging = get_context("spawn").Process(target=_stage, args=(url, texts, Path(folder)))
        staging.start()
        staging.join()
        at_once = _AT_ONCE * workers
        context, made = staged(url, (), Path(folder), space=_SPACE, batch_inputs=batch, max_in_flight=at_once)
        with open_ray(None, workers) as engine, _watched() as peaks:
            timed = _Timed(engine)
            embed(context, replace(made, texts=texts, tokens=8 * texts), timed)
            return {"speed": timed.speed(), "driver": _peak(os.getpid()), **peaks}


class _Timed:
    """An engine that notes when texts are done."""

    def __init__(self, engine: Engine) -> None:
        self.map, self.unanswered = engine.map, engine.unanswered
        self._engine = engine
        self._done = [(time.monotonic(), 0)]

    def embed(self, job: Job, requests: Iterable[Request]) -> Iterator[Outcome]:
        for outcome in self._engine.embed(job, requests):
            self._done.append((time.monotonic(), self._done[-1][1] + outcome.texts))
            yield outcome

    def speed(self) -> float:
        """Texts a second between the first quarter and the last: workers start and end one after another."""
        total = self._done[-1][1]
        first = next(one for one in self._done if one[1] >= total / 4)
        last = next(one for one in self._done if one[1] >= total * 3 / 4)
        return (last[1] - first[1]) / (last[0] - first[0])


def _stage(url: str, texts: int, folder: Path) -> None:
    for first in range(0, texts, 100_000):
        some = [
            f"短い文 {n}: a short text about {n * 31 % 9973}"
            for n in range(first, min(texts, first + 100_000))
        ]
        staged(url, some, folder, space=_SPACE, place=first)


@contextmanager
def _watched() -> Iterator[dict[str, float]]:
    """The most memory of any worker, looked at while they live."""
    peaks, done = {"worker": 0.0}, threading.Event()

    def look() -> None:
        while not done.wait(0.5):
            for entry in Path("/proc").iterdir():
                with suppress(OSError):
                    if entry.name.isdecimal() and b"ray::_Actor" in (entry / "cmdline").read_bytes():
                        peaks["worker"] = max(peaks["worker"], _peak(int(entry.name)))

    thread = threading.Thread(target=look)
    thread.start()
    yield peaks
    done.set()
    thread.join()


def _peak(pid: int) -> float:
    """The most memory that a process ever had, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1000


if __name__ == "__main__":
    main()
