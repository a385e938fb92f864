"""A version as one file: the same rows, all of them or none."""

import errno
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import schema
from pipeline.errors import InputError, StoreRefused
from pipeline.objects import Objects, store_errors
from pipeline.splitter_spec import SplitterSpec
from pipeline.store import export as exporting
from pipeline.store.export import Exported, export
from pipeline.store.log import Entry, Log
from pipeline.store.table import open_version
from tests.support import LOCAL, job_for, run, write_pages

FORMATS = ["parquet", "duckdb", "arrow"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store of two versions; the second has deleted rows, headings, both languages and metadata."""
    home = tmp_path_factory.mktemp("export")
    pages = {
        f"{n}.md": f"# Page {n}\n\n## 節 {n}\n\nOne. {n}\n\n## 次\n\n二つ目の段落。{n}" for n in range(40)
    }
    run(job_for(write_pages(home / "docs", {**pages, "old.md": "Old."}), str(home / "store")))
    (home / "docs" / "old.md").unlink()
    run(job_for(write_pages(home / "docs", {"3.md": "# 三\n\n変わった。"}), str(home / "store")))
    return str(home / "store")


def _entry(store: str, version: int | None = None) -> Entry:
    return Log(Objects(store), "docs").at(version)


def _export(store: str, file: Path, version: int | None = None, **options: Any) -> Exported:
    return export(Objects(store), "docs", _entry(store, version), file, **options)


def _held(store: str, version: int | None = None) -> pa.Table:
    return open_version(Objects(store), "docs", _entry(store, version)).to_table()


def _read(file: Path) -> pa.Table:
    if file.suffix == ".parquet":
        return pq.read_table(file)
    with pa.memory_map(str(file)) as source:
        return pa.ipc.open_file(source).read_all()


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_a_file_holds_exactly_the_rows_of_its_version(
    store: str, tmp_path: Path, suffix: str, version: int
) -> None:
    done = _export(store, tmp_path / f"out.{suffix}", version)
    held, found = _held(store, version), _read(tmp_path / f"out.{suffix}")
    assert found.equals(held)
    assert found.schema.types == held.schema.types
    assert (done.chunks, done.version, done.format) == (len(held), version, suffix)
    assert done.bytes == (tmp_path / f"out.{suffix}").stat().st_size
    assert schema.specs(found.schema) == (LOCAL, SplitterSpec(max_tokens=64))
    metadata = found.schema.metadata
    assert (metadata[b"vecmill.table"], metadata[b"vecmill.version"]) == (b"docs", str(version).encode())


def test_duckdb_opens_a_table_with_vectors_that_it_can_compute_with(store: str, tmp_path: Path) -> None:
    _export(store, tmp_path / "out.duckdb")
    with duckdb.connect(str(tmp_path / "out.duckdb"), read_only=True) as db:
        found = db.sql("select * from chunks").to_arrow_table()
        types = dict(db.execute("select column_name, data_type from duckdb_columns()").fetchall())
        facts = dict(db.execute("select * from vecmill").fetchall())
        nearest = db.execute(
            "select b.doc_id from chunks a, chunks b where a.doc_id = '3.md' "
            "order by array_cosine_similarity(a.vector, b.vector) desc limit 1"
        ).fetchall()
    held = _held(store)
    plain = held.schema.remove_metadata()
    assert (
        found.cast(pa.schema([field.with_nullable(True) for field in plain])).to_pylist() == held.to_pylist()
    )
    assert (types["vector"], types["heading_path"]) == ("FLOAT[64]", "VARCHAR[]")
    assert orjson.loads(facts["vecmill.space"])["model"] == "wordllama"
    assert (facts["vecmill.table"], facts["vecmill.version"]) == ("docs", "2")
    assert nearest == [("3.md",)]


@pytest.mark.parametrize("kind", FORMATS)
def test_rows_are_written_batch_by_batch(
    store: str, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "_BATCH", 1)
    told: list[tuple[int, int | None]] = []
    _export(store, tmp_path / "out", kind=kind, progress=lambda now: told.append((now.done, now.total)))
    total = len(_held(store))
    assert len(told) > 1
    assert told[-1] == (total, total)
    assert max(after[0] - before[0] for before, after in zip([(0, 0), *told], told, strict=False)) <= 64
    if kind != "duckdb":
        (tmp_path / "out").rename(tmp_path / f"out.{kind}")
        assert _read(tmp_path / f"out.{kind}").equals(_held(store))


def test_an_empty_version_is_a_file_of_no_rows(tmp_path: Path) -> None:
    at, folder = str(tmp_path / "store"), write_pages(tmp_path / "docs", {"a.md": "A.", "b.md": "B."})
    run(job_for(folder, at))
    (folder / "a.md").unlink()
    (folder / "b.md").write_text("", "utf-8")
    run(job_for(folder, at))
    for kind in FORMATS:
        assert _export(at, tmp_path / f"out.{kind}").chunks == 0
    assert _read(tmp_path / "out.parquet").schema.equals(_held(at).schema)


def test_a_file_that_is_there_stays_unless_forced(store: str, tmp_path: Path) -> None:
    (tmp_path / "out.parquet").write_text("mine", "utf-8")
    with pytest.raises(InputError, match=r"out\.parquet is there already; say --force"):
        _export(store, tmp_path / "out.parquet")
    assert (tmp_path / "out.parquet").read_text("utf-8") == "mine"
    _export(store, tmp_path / "out.parquet", force=True)
    assert _read(tmp_path / "out.parquet").equals(_held(store))


@pytest.mark.parametrize(
    ("file", "kind", "said"),
    [
        (
            "out.csv",
            None,
            "does not tell its format: let it end in .parquet, .duckdb, .arrow, or say --format",
        ),
        ("out", None, "does not tell its format"),
        ("out.parquet", "csv", "there is no format 'csv'; choose one of parquet, duckdb, arrow"),
        ("none/out.parquet", None, "there is no folder"),
        ("here.parquet", None, "is a folder; name a file in it"),
    ],
)
def test_a_file_that_cannot_be_is_refused_with_what_can(
    store: str, tmp_path: Path, file: str, kind: str | None, said: str
) -> None:
    (tmp_path / "here.parquet").mkdir()
    with pytest.raises(InputError, match=said):
        _export(store, tmp_path / file, kind=kind)
    assert [path.name for path in tmp_path.iterdir()] == ["here.parquet"]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_full_disk_is_said_and_leaves_what_was_there(
    store: str, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = exporting._batches

    def filling(*arguments: Any) -> Iterator[pa.RecordBatch]:
        yield next(batches(*arguments))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(exporting, "_batches", filling)
    file = tmp_path / f"out.{kind}"
    for before in (None, "mine"):
        if before:
            file.write_text(before, "utf-8")
        with pytest.raises(StoreRefused, match=rf"no space left for .*out\.{kind}; make room") as caught:
            _export(store, file, force=True)
        assert caught.value.exit_code == 7
        assert [path.read_text("utf-8") for path in tmp_path.iterdir()] == ([before] if before else [])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a device that is always full")
@pytest.mark.parametrize("write", [exporting._parquet, exporting._arrow])
def test_a_device_that_is_full_is_told_by_its_own_error(store: str, write: Callable[..., None]) -> None:
    rows = _held(store)
    with pytest.raises(StoreRefused, match="no space left for out"), store_errors("out"):
        write(Path("/dev/full"), rows.schema, iter(rows.to_batches() * 50))


_KILLED = """
import os, signal, sys
from pathlib import Path
from pipeline.objects import Objects
from pipeline.store import export
from pipeline.store.log import Log
export._BATCH = 1
store = Objects(sys.argv[1])
die = lambda now: os.kill(os.getpid(), signal.SIGKILL)
export.export(store, "docs", Log(store, "docs").live(), Path(sys.argv[2]), force=True, progress=die)
"""


@pytest.mark.parametrize("kind", FORMATS)
def test_a_killed_export_leaves_no_file_and_the_next_clears_up_after_it(
    store: str, tmp_path: Path, kind: str
) -> None:
    file = tmp_path / f"out.{kind}"
    words = [sys.executable, "-c", _KILLED, store, str(file)]
    killed = subprocess.run(words, check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not file.exists()
    assert list(tmp_path.glob(".out.*")), "it was killed while it wrote"
    _export(store, file)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_what_an_export_of_another_process_is_writing_is_left_alone(store: str, tmp_path: Path) -> None:
    host = socket.gethostname()
    others = [f".out.parquet.{host}-1.part", f".out.parquet.{host}x-999999999.part", f".out.x.{host}-9.part"]
    for name in others:
        (tmp_path / name).write_text("writing", "utf-8")
    (tmp_path / f".out.parquet.{host}-999999999.part.wal").write_text("left", "utf-8")
    _export(store, tmp_path / "out.parquet")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*others, "out.parquet"])


def test_where_a_model_lies_on_this_machine_is_not_written(store: str, tmp_path: Path) -> None:
    entry = _entry(store)
    entry = replace(entry, space={**entry.space, "folder": "/home/somebody/models/secret-project"})
    export(Objects(store), "docs", entry, tmp_path / "out.arrow")
    assert b"secret-project" not in (tmp_path / "out.arrow").read_bytes()
