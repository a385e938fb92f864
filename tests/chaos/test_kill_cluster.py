"""Workers, the quota, the driver, and all at once, killed with no warning while Ray does the work."""

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.endpoint import MeteredEndpoint
from tests.support import command, job_for, metered, rows, run, vecmill, write_pages

_KILLS = int(os.environ.get("VECMILL_KILLS", "10"))
_VICTIMS = ("worker", "quota", "driver", "all")
_IN_FLIGHT, _BATCH = 4, 8
_PAGES = 40  # written before each start
_REQUESTS = 20  # so many more arrive at most until something is killed
_TITLES = {"worker": b"ray::_Actor", "quota": b"ray::_Keeper"}


@dataclass
class Victims:
    """The processes of one test's runs, told from all others by a folder that their environment names."""

    folder: Path
    kills: Counter[str] = field(default_factory=Counter)

    @property
    def env(self) -> Mapping[str, str]:
        return {"OPENAI_API_KEY": "sk-test", "VECMILL_QUOTA_DIR": str(self.folder)}

    def kill(self, kind: str, driver: "subprocess.Popen[bytes]") -> None:
        if kind == "driver":
            pids = [driver.pid]
        else:
            title = _TITLES.get(kind, b"")
            pids = [pid for pid, words in self._processes() if words.startswith(title)]
            pids = pids if kind == "all" else pids[:1]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
                self.kills[kind] += 1
            except ProcessLookupError:
                pass

    def end(self) -> None:
        for pid, _ in self._processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _processes(self) -> list[tuple[int, bytes]]:
        mark, found = f"VECMILL_QUOTA_DIR={self.folder}\0".encode(), []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal() and int(entry.name) != os.getpid():
                try:
                    if mark in (entry / "environ").read_bytes():
                        found.append((int(entry.name), (entry / "cmdline").read_bytes()))
                except OSError:
                    continue
        return found


def _page(number: int) -> str:
    sections = (f"Paragraph {n} of page {number}. 第{number}頁の第{n}段落です。" * 3 for n in range(6))
    return f"# Page {number}\n\n" + "\n\n".join(sections)


def _words(folder: Path, store: str, url: str) -> list[str]:
    options = {
        "--table": "docs",
        "--store": store,
        "--embedding": "openai/text-embedding-3-small@64",
        "--base-url": url,
        "--max-tokens": "64",
        "--max-in-flight": str(_IN_FLIGHT),
        "--batch-inputs": str(_BATCH),
        "--rpm": "3000",
        "--engine": "ray",
        "--workers": "2",
    }
    return ["ingest", str(folder), *(word for pair in options.items() for word in pair), "--json"]


@pytest.mark.slow
def test_whatever_is_killed_nothing_is_lost_and_only_what_was_in_flight_is_billed_again(
    tmp_path: Path,
) -> None:
    folder, store, fresh = tmp_path / "docs", str(tmp_path / "store"), str(tmp_path / "fresh")
    chance = random.Random(int(os.environ.get("VECMILL_SEED", "11")))
    victims = Victims(tmp_path / "quotas")
    with MeteredEndpoint(key="sk-test", latency=0.1) as endpoint, MeteredEndpoint(key="sk-test") as other:
        words = _words(folder, store, endpoint.url)
        starts = 0
        process: subprocess.Popen[bytes] | None = None
        try:
            for moment in range(_KILLS):
                if process is None or process.poll() is not None:
                    write_pages(
                        folder,
                        {f"{n:04}.md": _page(n) for n in range(_PAGES * starts, _PAGES * (starts + 1))},
                    )
                    starts += 1
                    with (tmp_path / f"{starts}.log").open("wb") as log:
                        process = subprocess.Popen(
                            command(*words), env={**os.environ, **victims.env}, stdout=log, stderr=log
                        )
                target = endpoint.ledger.arrived + chance.randint(1, _REQUESTS)
                while process.poll() is None and endpoint.ledger.arrived < target:
                    time.sleep(0.005)
                victims.kill(_VICTIMS[moment % len(_VICTIMS)], process)
                if _VICTIMS[moment % len(_VICTIMS)] in ("driver", "all"):
                    process.wait(60)
            if process is not None:
                process.wait(300)
        finally:
            victims.end()
        last = vecmill(*words, cwd=tmp_path, env=victims.env, timeout=300)
        assert last.code == 0, last.err
        assert min(victims.kills[kind] for kind in _VICTIMS) >= 1, victims.kills
        again = sum(times - 1 for times in endpoint.ledger.billed_more_than_once().values())
        assert again <= _KILLS * _IN_FLIGHT * _BATCH

        run(job_for(folder, fresh, **metered(other.url)))
        table = rows(store)
        assert table.equals(rows(fresh))
        assert len(set(table["chunk_id"].to_pylist())) == len(table)
        assert {charge.text for charge in endpoint.ledger.charges} == {
            charge.text for charge in other.ledger.charges
        }
    assert victims._processes() == []
