"""A run killed with no warning, again and again, and the same command after it."""

import os
import random
from itertools import accumulate
from pathlib import Path

import pytest

from tests.chaos.killing import env, killed
from tests.endpoint import MeteredEndpoint
from tests.support import job_for, metered, rows, run, vecmill, write_pages

_KILLS = 10
_IN_FLIGHT, _BATCH = 4, 8
_PAGES = 30  # written before each attempt
_REQUESTS = 14  # some more than these pages need


def _words(folder: Path, store: str, url: str) -> list[str]:
    options = {
        "--table": "docs",
        "--store": store,
        "--embedding": "openai/text-embedding-3-small@64",
        "--base-url": url,
        "--max-tokens": "64",
        "--max-in-flight": str(_IN_FLIGHT),
        "--batch-inputs": str(_BATCH),
    }
    return ["ingest", str(folder), *(word for pair in options.items() for word in pair), "--json"]


def _pages(first: int, count: int) -> dict[str, str]:
    """Pages whose texts are all different, in both languages."""
    return {
        f"{number:03d}.md": f"# Page {number}\n\n{_body(number)}" for number in range(first, first + count)
    }


def _body(page: int) -> str:
    return "\n\n".join(f"Paragraph {n} of page {page}. 第{page}頁の第{n}段落です。" * 3 for n in range(6))


@pytest.mark.slow
def test_ten_kills_lose_nothing_and_bill_again_only_what_was_in_flight(tmp_path: Path) -> None:
    folder, store, fresh = tmp_path / "docs", str(tmp_path / "store"), str(tmp_path / "fresh")
    moments = random.Random(int(os.environ.get("VECMILL_SEED", "7")))
    with MeteredEndpoint(key="sk-test", latency=0.05) as endpoint, MeteredEndpoint(key="sk-test") as other:
        words = _words(folder, store, endpoint.url)
        billed_again, kills = list[int](), list[int]()
        for attempt in range(_KILLS):
            write_pages(folder, _pages(_PAGES * attempt, _PAGES))
            billed_again.append(_billed_again(endpoint))
            kills.append(killed(words, endpoint, moments, _REQUESTS))
        last = vecmill(*words, cwd=tmp_path, env=env())
        assert last.code == 0, last.err
        billed_again.append(_billed_again(endpoint))
        assert sum(kills) >= _KILLS // 2
        # Added up, since what is on its way at a kill is billed when the endpoint gets to it.
        most = [kills * _IN_FLIGHT * _BATCH for kills in accumulate(kills, initial=0)]
        assert all(again <= allowed for again, allowed in zip(billed_again, most, strict=True)), billed_again

        run(job_for(folder, fresh, **metered(other.url)))
        table = rows(store)
        assert table.equals(rows(fresh))
        assert len(set(table["chunk_id"].to_pylist())) == len(table)
        assert _texts(endpoint) == _texts(other)


def _texts(endpoint: MeteredEndpoint) -> set[str]:
    return {charge.text for charge in endpoint.ledger.charges}


def _billed_again(endpoint: MeteredEndpoint) -> int:
    return sum(times - 1 for times in endpoint.ledger.billed_more_than_once().values())
