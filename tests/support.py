"""Short ways to what many tests need: jobs, runs, a table's rows, the command line, shared corpora."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any

import pyarrow as pa
import pytest

from pipeline import ids
from pipeline.engine import InlineEngine
from pipeline.job import Endpoint, Job, Secret, SourceSpec
from pipeline.objects import Objects
from pipeline.run import Report, ingest
from pipeline.space import Space
from pipeline.splitter_spec import SplitterSpec
from pipeline.store.log import Log
from pipeline.store.table import open_version

LOCAL = Space("local", "wordllama", 64)
OPENAI = Space("openai", "text-embedding-3-small", 64)
DATA = Path(__file__).parents[2] / "shared" / "data"


def job_for(source: Path | SourceSpec, store: str, **changes: Any) -> Job:
    """A job on a folder of files, in the embedded space unless `changes` says otherwise."""
    spec = source if isinstance(source, SourceSpec) else SourceSpec("files", str(source))
    values = {"table": "docs", "splitter": SplitterSpec(max_tokens=64), "space": LOCAL, **changes}
    return Job(ids.new_run_id(), store, source=spec, **values)


def metered(url: str, **changes: Any) -> dict[str, Any]:
    """The part of a job that sends its texts to an endpoint of the test's own."""
    return {"space": OPENAI, "endpoint": Endpoint(base_url=url, api_key=Secret("sk-test"), **changes)}


def run(job: Job) -> Report:
    """Run a job in this process."""
    return ingest(job, lambda _: nullcontext(InlineEngine()))


def rows(store: str, table: str = "docs", version: int | None = None) -> pa.Table:
    """A version's rows in a settled order, without what differs from run to run."""
    objects = Objects(store)
    found = open_version(objects, table, Log(objects, table).at(version)).to_table()
    return found.drop_columns(["run_id", "embedded_at"]).sort_by("chunk_id")


def write_pages(folder: Path, pages: Mapping[str, str]) -> Path:
    """Write files into a folder; gives the folder."""
    for name, text in pages.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8", newline="")
    return folder


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document that it printed."""
        return json.loads(self.out)


def vecmill(*words: str, cwd: Path, env: Mapping[str, str] | None = None, timeout: float = 120) -> Ran:
    """Run the command line in a process of its own."""
    done = subprocess.run(
        command(*words),
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@contextmanager
def beside(words: Sequence[str], cwd: Path, env: Mapping[str, str], log: Path) -> Iterator["Popen[bytes]"]:
    """A program that runs while the test does, and is ended with it, by force if it will not."""
    with log.open("wb") as file:
        process = Popen(words, env={**os.environ, **env}, cwd=cwd, stdout=file, stderr=file)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def command(*words: str) -> Sequence[str]:
    """The command line of this environment."""
    return [sys.executable, "-m", "flows.cli", *words]


def corpus(name: str) -> pa.Table:
    """A table of the shared corpora; the test is skipped, and says so, where they are absent."""
    import pyarrow.parquet as pq

    path = DATA / name
    if not path.exists():
        pytest.skip(f"the shared corpus {name} is not here")
    return pq.read_table(path)
