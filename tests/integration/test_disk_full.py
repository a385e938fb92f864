"""A disk that is full when a stage begins: a clear refusal, the live version untouched, and the way on."""

import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from pipeline.engine import InlineEngine
from pipeline.errors import StoreRefused
from pipeline.job import Canary, Gate
from pipeline.objects import Objects
from pipeline.run import ingest
from pipeline.store.keep import Keep
from pipeline.store.log import Log
from pipeline.upkeep import Upkeep
from tests.support import job_for, rows, run, write_pages

pytestmark = pytest.mark.slow

_SIZE = 24 * 2**20
_GATE = Gate(canaries=(Canary("rivers", ("a.md",)),))


class Disk:
    """A disk of a few megabytes that can be filled; where none may be mounted, one that refuses to write."""

    def __init__(self, folder: Path, mounted: bool) -> None:
        self.folder = folder
        self.mounted = mounted
        self._ballast = folder / "ballast"

    @contextmanager
    def full(self) -> Iterator[None]:
        """Leave no room on it."""
        if self.mounted:
            with self._ballast.open("wb", buffering=0) as file, suppress(OSError):
                while file.write(bytes(4096)):
                    pass
            try:
                yield
            finally:
                self._ballast.unlink()
            return
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "vecmill-test", str(folder)]
    may = os.geteuid() == 0 and which("mount") is not None
    may = may and subprocess.run(words, capture_output=True, check=False).returncode == 0
    try:
        yield Disk(folder, may)
    finally:
        if may:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _filled_at(disk: Disk, fatal: str) -> Callable[..., Any]:
    """A runner on whose disk there is no room from one stage on."""

    def runner(stage: Any, /, *args: Any, **kwargs: Any) -> Any:
        with disk.full() if stage.__name__ == fatal else nullcontext():
            return stage(*args, **kwargs)

    return runner


_STAGES = ["list_documents", "diff", "split", "plan", "embed", "assemble", "gate", "publish"]


@pytest.mark.parametrize("stage", _STAGES)
def test_a_disk_that_is_full_in_any_stage_is_said_and_costs_nothing_that_was_live(
    tmp_path: Path, disk: Disk, stage: str
) -> None:
    store, folder = str(disk.folder / "store"), write_pages(tmp_path / "docs", {"a.md": "Rivers. 川。"})
    run(job_for(folder, store))
    before = rows(store)
    write_pages(folder, {f"{n}.md": f"# Page {n}\n\nText of page {n}. 第{n}頁。" for n in range(200)})
    job = job_for(folder, store, gate=_GATE)
    with pytest.raises(StoreRefused) as refused:
        ingest(job, lambda _: nullcontext(InlineEngine()), _filled_at(disk, stage))
    assert refused.value.exit_code == 7
    if disk.mounted:
        assert "no space left for" in str(refused.value)
        assert "run the same command again" in str(refused.value)
    assert Log(Objects(store), "docs").live().version == 1
    assert rows(store).equals(before)
    report = run(job_for(folder, store, gate=_GATE))
    assert (report.version, len(rows(store))) == (2, 201)
    Upkeep(Objects(store), Keep(versions=1, days=0, grace=0)).run()
    assert not list(Path(store).glob("runs/*/**/*.arrow"))


def test_maintenance_on_a_full_disk_is_refused_and_done_once_there_is_room(
    tmp_path: Path, disk: Disk
) -> None:
    store, folder = str(disk.folder / "store"), tmp_path / "docs"
    for number in range(12):
        run(job_for(write_pages(folder, {f"{number}.md": f"Page {number}. 第{number}頁。"}), store))
    before, upkeep = rows(store), Upkeep(Objects(store), Keep(versions=1, days=0, grace=0))
    with disk.full(), pytest.raises(StoreRefused) as refused:
        upkeep.run()
    assert refused.value.exit_code == 7
    assert rows(store).equals(before)
    assert upkeep.run()["tables"]["docs"]["compaction"]["fragments_after"] == 1
    assert rows(store).equals(before)
