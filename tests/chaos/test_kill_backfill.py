"""A backfill killed with no warning, again and again, while ingests land; and the same command after it."""

import os
import random
from itertools import accumulate
from pathlib import Path

import pytest

from pipeline.objects import Objects
from pipeline.store.log import under_way
from tests.backfills import live
from tests.chaos.killing import env, killed
from tests.endpoint import MeteredEndpoint
from tests.support import job_for, metered, rows, run, vecmill, write_pages

_KILLS = 6
_IN_FLIGHT, _BATCH = 4, 8
_PAGES = 120
_REQUESTS = 30


def _words(store: str, url: str, *more: str) -> list[str]:
    options = {
        "--store": store,
        "--embedding": "openai/text-embedding-3-small@64",
        "--base-url": url,
        "--max-in-flight": str(_IN_FLIGHT),
        "--batch-inputs": str(_BATCH),
        "--part": "100",
    }
    return ["backfill", "docs", *(word for pair in options.items() for word in pair), *more, "--json"]


def _pages(first: int, count: int) -> dict[str, str]:
    return {
        f"{number:03d}.md": f"# Page {number}\n\n"
        + "\n\n".join(f"Paragraph {n} of page {number}. 第{number}頁の第{n}段落です。" * 3 for n in range(6))
        for number in range(first, first + count)
    }


@pytest.mark.slow
def test_kills_lose_nothing_bill_only_what_was_in_flight_and_readers_never_see_it(tmp_path: Path) -> None:
    folder, store, fresh = tmp_path / "docs", str(tmp_path / "store"), str(tmp_path / "fresh")
    moments = random.Random(int(os.environ.get("VECMILL_SEED", "7")))
    run(job_for(write_pages(folder, _pages(0, _PAGES)), store))
    with MeteredEndpoint(key="sk-test", latency=0.05) as endpoint, MeteredEndpoint(key="sk-test") as other:
        billed_again, kills = list[int](), list[int]()
        for attempt in range(_KILLS):
            kills.append(killed(_words(store, endpoint.url), endpoint, moments, _REQUESTS))
            billed_again.append(sum(times - 1 for times in endpoint.ledger.billed_more_than_once().values()))
            write_pages(folder, _pages(_PAGES + 5 * attempt, 5))
            (folder / f"{attempt:03d}.md").unlink()
            run(job_for(folder, store))
            assert live(store).generation.startswith("1-")
        last = vecmill(*_words(store, endpoint.url, "--switch"), cwd=tmp_path, env=env())
        assert last.code == 0, last.err
        assert sum(kills) >= _KILLS // 2
        most = [count * _IN_FLIGHT * _BATCH for count in accumulate(kills)]
        assert all(again <= allowed for again, allowed in zip(billed_again, most, strict=True)), billed_again

        run(job_for(folder, fresh, **metered(other.url)))
        assert rows(store).equals(rows(fresh))
        assert under_way(Objects(store), "docs") == []
        assert live(store).kind == "switch"
