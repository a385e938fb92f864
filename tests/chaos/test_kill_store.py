"""Runs and maintenance killed at any line, and what readers, the next run and the next maintenance find then.

VECMILL_KILLS says how often, VECMILL_SEED when.
"""

import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import lance
import pytest

from pipeline.objects import Objects
from pipeline.store.log import Log
from pipeline.upkeep import Upkeep
from tests.chaos.victim import KEEP
from tests.support import job_for, rows, run, write_pages

_KILLS = int(os.environ.get("VECMILL_KILLS", "15"))
_STAGES = ("assemble", "validate", "publish", "maintain")
_PAGES = 8


def _page(number: int, edition: int) -> str:
    return f"# Page {number}\n\nEdition {edition} of page {number}.\n\n# 版\n\n第{edition}版の{number}頁。"


class Told:
    """A folder whose pages change in every edition, and what a table of it has to hold."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._edition = 0
        self._pages = {f"{number}.md": _page(number, 0) for number in range(_PAGES)}
        write_pages(folder, self._pages)

    def edit(self, moments: random.Random) -> set[str]:
        """Change some pages, take one away, or bring one; gives what was there before."""
        before = self.held()
        self._edition += 1
        for number in moments.sample(range(_PAGES), 3):
            name = f"{number}.md"
            if self._pages.pop(name, None) is None or moments.random() < 0.8:
                self._pages[name] = _page(number, self._edition)
        for path in self.folder.iterdir():
            path.unlink()
        write_pages(self.folder, self._pages)
        return before

    def held(self) -> set[str]:
        """What a table of all pages holds: a line for each page."""
        return {f"{name} {text.split('Edition ')[1].split()[0]}" for name, text in self._pages.items()}


def _held(store: str) -> set[str]:
    """What readers see; a page of which they see a part, or parts of two editions, is refused."""
    found = dict[str, list[str]]()
    for row in rows(store).to_pylist():
        edition = row["text"].split("Edition ")[-1].split("第")[-1].split("版の")[0].split()[0]
        found.setdefault(row["doc_id"], []).append(edition)
    assert all(len(editions) == 2 and len(set(editions)) == 1 for editions in found.values()), found
    return {f"{name} {editions[0]}" for name, editions in found.items()}


def _victim(store: str, told: Told, stage: str, line: int = 0, seconds: float = 0) -> tuple[int, int]:
    """Run a victim; gives its exit code, and the lines of its stage where it lived."""
    words = [sys.executable, "-m", "tests.chaos.victim", store, str(told.folder), stage]
    done = subprocess.run(
        [*words, str(line), str(seconds)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode in (0, -9), done.stderr
    return done.returncode, int(done.stdout or 0)


def _lost(store: str) -> set[str]:
    """Data files that no version is made of, and what runs have staged."""
    there = {path.name for path in Path(store).glob("tables/docs/*.lance/data/*")}
    for uri in Path(store).glob("tables/docs/*.lance"):
        newest = lance.dataset(str(uri))
        for version in newest.versions():
            opened = lance.dataset(str(uri), version=int(version["version"]))
            there -= {file.path for fragment in opened.get_fragments() for file in fragment.data_files()}
    return there | {path.name for path in Path(store).glob("runs/*/**/*.arrow")}


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_whatever_is_killed_one_version_is_whole_and_the_next_run_and_maintenance_make_it_good(
    tmp_path: Path,
) -> None:
    store, told = str(tmp_path / "store"), Told(tmp_path / "docs")
    moments = random.Random(int(os.environ.get("VECMILL_SEED", "5")))
    run(job_for(told.folder, store))
    lines, killed = dict[str, int](), Counter[str]()
    for stage in _STAGES:
        told.edit(moments)
        lines[stage] = _victim(store, told, stage)[1]
        run(job_for(told.folder, store))
    assert min(lines.values()) > 20, lines
    for number in range(_KILLS):
        stage = _STAGES[number % len(_STAGES)]
        before = told.edit(moments)
        if stage == "maintain":
            run(job_for(told.folder, store))
        seconds = moments.choice((0, moments.uniform(0, 0.03)))
        code, _ = _victim(store, told, stage, moments.randint(1, lines[stage]), seconds)
        killed[stage] += code == -9
        assert _held(store) in ([told.held()] if stage == "maintain" else [before, told.held()])
        run(job_for(told.folder, store))
        assert _held(store) == told.held()
        Upkeep(Objects(store), KEEP).run()
        assert _lost(store) == set()
        assert _held(store) == told.held()
        assert Log(Objects(store), "docs").live().chunks == 2 * len(told.held())
    # After a moment it can be over already.
    assert sum(killed.values()) >= _KILLS // 2, killed
