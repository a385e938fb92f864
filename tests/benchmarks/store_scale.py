"""What the store's work costs, and whether it follows the change rather than the table.

    uv run python -m tests.benchmarks.store_scale [--chunks N] [--smaller N] [--processes N] [--folder DIR]

Chunks and vectors are made up, staged and in the cache before anything is timed. Each step runs in
processes of its own, whose most memory is read. The full load is set against Lance's own write_fragments of
the same rows from memory, by the same number of processes; the change against the full load, and against
the same change of a smaller table. CPU seconds are of the first process: with --processes 1, of all of them.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from lance.fragment import write_fragments

from infra.settings import be_quiet
from pipeline import schema
from pipeline.engine import InlineEngine
from pipeline.objects import Objects
from pipeline.ports import Engine
from pipeline.stages.assemble import FRAGMENTS, assemble
from pipeline.stages.diff import diff
from pipeline.stages.publish import publish
from pipeline.stages.split import CHUNKS
from pipeline.stages.validate import validate
from pipeline.staging import Staging
from pipeline.store.history import rollback
from pipeline.store.log import Log
from tests.benchmarks.side_by_side import table
from tests.benchmarks.store_rows import NEW, Made
from tests.pipeline.stages.steps import begin
from tests.support import command

T = TypeVar("T")
R = TypeVar("R")

_SHARE = 0.01  # of the documents that change
_ROUNDS = 3  # of the change, of which the median counts
_VERSIONS = 10_000


def main() -> None:
    """Print what each step takes, and how it compares."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--chunks", type=int, default=1_000_000)
    parser.add_argument("--smaller", type=int, default=100_000)
    parser.add_argument("--dimensions", type=int, default=256)
    parser.add_argument("--processes", type=int, default=1, help="that write fragments")
    parser.add_argument("--folder", help="where it is kept; a temporary folder if left out")
    parser.add_argument("--only", choices=("table", "versions"))
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    be_quiet()
    if given.child:
        step, arguments = given.child
        print(json.dumps(_measured(_STEPS[step], json.loads(arguments))))
        return
    with nullcontext(given.folder) if given.folder else tempfile.TemporaryDirectory(prefix="vecmill-") as at:
        if given.only in (None, "table"):
            _table(Path(at), given.chunks, given.smaller, given.dimensions, given.processes)
        if given.only in (None, "versions"):
            _versions(Path(at))


def _table(folder: Path, most: int, fewer: int, dimensions: int, processes: int) -> None:
    larger, smaller = (Made(folder / str(chunks), chunks, dimensions) for chunks in (most, fewer))
    changed = int(most / 10 * _SHARE)  # documents: as many of the smaller table
    values = {
        made.chunks: {"folder": str(made.folder), "chunks": made.chunks, "dimensions": dimensions}
        for made in (smaller, larger)
    }
    found: dict[int, dict[str, Any]] = {}
    for chunks, made in values.items():
        _child("stage", **made)
        bare = _child("bare", **made, processes=processes)
        found[chunks] = {"bare": bare, "load": _child("load", **made, processes=processes)}
    changes: dict[int, list[dict[str, Any]]] = {chunks: [] for chunks in values}
    for revision in range(1, _ROUNDS + 1):
        for chunks, made in values.items():
            _child("stage", **made, changed=changed, revision=revision)
            changes[chunks].append(_child("change", **made, changed=changed, revision=revision))
            found[chunks]["rollback"] = _child("rollback", **made)
    for chunks in values:
        found[chunks]["change"] = _median(changes[chunks])
        _told(chunks, found[chunks])
    for step in ("diff", "publish"):
        one, other = (found[chunks]["change"][step] for chunks in (most, fewer))
        bound = "(<= 2)" if step == "publish" else ""
        print(f"{step} of the same change, {most:,} against {fewer:,} rows: {one / other:.2f} times {bound}")


def _median(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """What a step takes, figure by figure."""
    return {
        name: _median([one[name] for one in rounds])
        if isinstance(rounds[0][name], dict)
        else statistics.median_low(one[name] for one in rounds)
        for name in rounds[0]
    }


def _told(chunks: int, found: dict[str, Any]) -> None:
    bare, load, change = found["bare"], found["load"], found["change"]
    columns = ["step", "seconds", "CPU", "rows", "MB", "peak MB"]
    print(f"{chunks:,} chunks")
    whole, cpu = load["assemble"] + load["publish"], load["cpu"]["assemble"] + load["cpu"]["publish"]
    rows: list[list[Any]] = [
        [
            "bare write_fragments",
            bare["seconds"],
            bare["cpu"],
            bare["rows"],
            bare["bytes"] / 1e6,
            bare["peak"],
        ]
    ]
    for which, one in (("", load), (" of the change", change)):
        for step in ("diff", "assemble", "validate", "publish"):
            if step in one:
                written = [one["rows"], one["bytes"] / 1e6] if step == "assemble" else [None, None]
                rows.append([step + which, one[step], one["cpu"][step], *written, one["peak"]])
    back = found["rollback"]
    rows.append(["rollback", back["seconds"], None, None, None, back["peak"]])
    table(columns, [[str(row[0]), *map(_number, row[1:])] for row in rows])
    verdicts = [
        ("full load, of bare throughput", bare["seconds"] / whole, ">= 0.6"),
        ("the same with validation", bare["seconds"] / (whole + load["validate"]), ""),
        ("the same in CPU seconds, without it", bare["cpu"] / cpu, ""),
        ("rows written by the change, of the table's", change["rows"] / chunks, "<= 0.011"),
        ("bytes written by the change, of the table's", change["bytes"] / load["bytes"], "<= 0.015"),
        ("diff and publish, of the full load", (change["diff"] + change["publish"]) / whole, "<= 0.05"),
        ("the same in CPU seconds", (change["cpu"]["diff"] + change["cpu"]["publish"]) / cpu, ""),
        ("most memory of a process, MB", max(load["peak"], change["peak"], back["peak"]), "<= 1000"),
        ("rollback, seconds", back["seconds"], "<= 1"),
    ]
    for what, value, bound in verdicts:
        print(f"{what}: {value:.4g} {f'({bound})' if bound else ''}")
    print(flush=True)


def _versions(folder: Path) -> None:
    store = str(folder / "many")
    _child("entries", store=store)
    for words in (("versions", "docs"), ("versions", "docs", "--json"), ("rollback", "docs", "5000")):
        began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command(*words, "--store", store), capture_output=True, check=False)
        seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        said = f": {done.stderr.decode()[:200]}" if done.returncode else ""
        took = f"{seconds:.2f} s (<= 2), {cpu:.2f} s of CPU"
        print(f"vecmill {' '.join(words)}, {_VERSIONS:,} versions: {took}{said}")


def _number(value: Any) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def _child(step: str, **arguments: Any) -> dict[str, Any]:
    words = [sys.executable, "-m", "tests.benchmarks.store_scale", "--child", step, json.dumps(arguments)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _measured(step: Callable[..., dict[str, Any]], arguments: dict[str, Any]) -> dict[str, Any]:
    found = step(**arguments)
    peaks = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {**found, "peak": max(peaks) / 1000}


def _stage(changed: int = 0, revision: int = 0, **values: Any) -> dict[str, Any]:
    """A run's chunks and vectors: of all documents, or of those that have changed."""
    made = _made(values)
    if not changed:
        context = made.staged("load", np.arange(made.documents), 0)
    else:
        documents = _changed(made, changed)
        context = made.staged(f"change-{revision}", documents, revision)
        context.staging.write_table("manifest", made.manifest(documents, revision))
    return {"run": context.job.run_id}


def _bare(processes: int, **values: Any) -> dict[str, Any]:
    """Write the rows with nothing but Lance; only the writing is timed."""
    made = _made(values)
    with tempfile.TemporaryDirectory(dir=made.folder) as folder, _engine(processes) as engine:
        staging = Staging(Objects(made.store), "load")
        step, shards = _BareWriter(made, folder), staging.shards(CHUNKS)
        list(engine.map(_warm, range(processes)))
        # Fragments as large as ours: they take Lance the least time.
        parts = [shards[first : first + 16] for first in range(0, len(shards), 16)]
        written = list(engine.map(step, parts))
    return {
        "rows": sum(one[0] for one in written),
        "bytes": sum(one[1] for one in written),
        "seconds": sum(one[2] for one in written) / processes,
        "cpu": sum(one[3] for one in written),
    }


@dataclass(frozen=True, slots=True)
class _BareWriter:
    made: Made
    folder: str

    def __call__(self, shards: list[str]) -> tuple[int, int, float, float]:
        job = self.made.job("load")
        staged = Staging(Objects(self.made.store), "load").read_tables(shards)
        chunks = pa.concat_tables(staged).drop_columns(["prefix"])
        vectors = np.random.default_rng(0).standard_normal((len(chunks), self.made.dimensions))
        flat = pa.array(vectors.astype(np.float32).reshape(-1))
        now = pa.scalar(1_790_000_000_000_000, pa.timestamp("us", tz="UTC"))
        rows = (
            chunks.append_column("vector", pa.FixedSizeListArray.from_arrays(flat, self.made.dimensions))
            .append_column("run_id", pa.repeat("load", len(chunks)))
            .append_column("embedded_at", pa.repeat(now, len(chunks)))
            .cast(schema.table(job.space, job.splitter))
        )
        clock = _Clock()
        written = write_fragments(rows, self.folder, schema=rows.schema)
        size = sum(file.file_size_bytes or 0 for one in written for file in one.files)
        return len(rows), size, *clock.passed()


def _load(processes: int, **values: Any) -> dict[str, Any]:
    made = _made(values)
    context = begin(made.job("load"))
    with _engine(processes) as engine:
        list(engine.map(_warm, range(processes)))  # what a process takes to start is not the store's work
        return _published(context, engine)


def _change(changed: int, revision: int, **values: Any) -> dict[str, Any]:
    made = _made(values)
    context = begin(made.job(f"change-{revision}"))
    context.staging.write_json("listed", {"documents": made.documents})
    clock = _Clock()
    found = diff(context)
    seconds, cpu = clock.passed()
    if (found.changed, found.deleted) != (changed, 0):
        raise AssertionError(found)
    done = _published(context, InlineEngine())
    return {**done, "diff": seconds, "cpu": {**done["cpu"], "diff": cpu}}


def _published(context: Any, engine: Engine) -> dict[str, Any]:
    before, seconds, cpu = _size(context.job.store), dict[str, float](), dict[str, float]()
    for name, step in (
        ("assemble", lambda: assemble(context, engine)),
        ("validate", lambda: validate(context, engine)),
        ("publish", lambda: publish(context, NEW)),
    ):
        clock = _Clock()
        made = step()
        seconds[name], cpu[name] = clock.passed()
        if name == "publish" and made is None:
            raise AssertionError("not published")
    rows = context.staging.read_json(FRAGMENTS)["rows"]
    return {**seconds, "rows": rows, "bytes": _size(context.job.store) - before, "cpu": cpu}


def _rollback(**values: Any) -> dict[str, Any]:
    made = _made(values)
    began = time.perf_counter()
    rollback(Objects(made.store), "docs", 1)
    return {"seconds": time.perf_counter() - began}


def _entries(store: str) -> dict[str, Any]:
    """A table of many versions, all of the same rows."""
    made = Made(Path(store).parent / "one", 1000)
    context = made.staged("load", np.arange(made.documents), 0)
    _published(context, InlineEngine())
    (made.folder / "store").rename(store)
    log = Log(Objects(store), "docs")
    first = log.live()
    for number in range(2, _VERSIONS + 1):
        log.append(replace(first, version=number))
    return {"versions": len(log.numbers())}


_STEPS: dict[str, Callable[..., dict[str, Any]]] = {
    "stage": _stage,
    "bare": _bare,
    "load": _load,
    "change": _change,
    "rollback": _rollback,
    "entries": _entries,
}


def _made(values: dict[str, Any]) -> Made:
    return Made(Path(values["folder"]), values["chunks"], values["dimensions"])


def _changed(made: Made, count: int) -> Any:
    return np.sort(np.random.default_rng(1).permutation(made.documents)[:count])


def _size(store: str) -> int:
    """Bytes of all that the store holds."""
    return sum(path.stat().st_size for path in Path(store).rglob("*") if path.is_file())


def _warm(_: int) -> None:
    import pipeline.stages.assemble  # noqa: F401


class _Clock:
    """Seconds since it was made: by the wall, and of this machine's cores."""

    def __init__(self) -> None:
        self._began = time.perf_counter(), time.process_time()

    def passed(self) -> tuple[float, float]:
        """Both."""
        return time.perf_counter() - self._began[0], time.process_time() - self._began[1]


class _Processes:
    """An engine whose steps are done by processes of their own."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def map(self, step: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Apply a step to each item, in order."""
        yield from self._pool.imap(step, items)


@contextmanager
def _engine(processes: int) -> Iterator[Any]:
    if processes == 1:
        yield InlineEngine()
        return
    with get_context("spawn").Pool(processes) as pool:
        yield _Processes(pool)
        pool.close()
        pool.join()  # so that their memory is counted


if __name__ == "__main__":
    main()
