"""A run by batch killed with no warning, again and again: nothing is ordered twice, nothing is lost."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.endpoint import BatchRules, MeteredEndpoint
from tests.support import command, job_for, metered, rows, run, vecmill, write_pages

_KILLS = 8
_ENV = {"OPENAI_API_KEY": "sk-test"}


@pytest.mark.slow
def test_kills_at_random_moments_bill_no_text_twice(tmp_path: Path) -> None:
    folder, store, fresh = tmp_path / "docs", str(tmp_path / "store"), str(tmp_path / "fresh")
    moments = random.Random(int(os.environ.get("VECMILL_SEED", "7")))
    rules = BatchRules(seconds=2.0)
    with MeteredEndpoint(key="sk-test", batch_rules=rules) as endpoint, MeteredEndpoint() as other:
        options = {
            "--table": "docs",
            "--store": store,
            "--embedding": "openai/text-embedding-3-small@64",
            "--base-url": endpoint.url,
            "--max-tokens": "64",
            "--batch-inputs": "4",
            "--lane": "batch",
            "--enqueued-tokens": "2000",
        }
        words = ["ingest", str(folder), *(word for pair in options.items() for word in pair), "--json"]
        for attempt in range(_KILLS):
            pages = {f"{attempt}-{n}.md": f"# {attempt}-{n}\n\n{attempt}の{n}頁目。" * 3 for n in range(10)}
            write_pages(folder, pages)
            _kill(words, endpoint, moments)
        last = vecmill(*words, cwd=tmp_path, env=_ENV, timeout=280)
        assert last.code == 0, last.err
        run(job_for(folder, fresh, **metered(other.url)))
    assert endpoint.ledger.billed_more_than_once() == {}
    assert endpoint.ledger.arrived == 0
    assert rows(store).equals(rows(fresh))
    assert {charge.text for charge in endpoint.ledger.charges} == {
        charge.text for charge in other.ledger.charges
    }


def _kill(words: list[str], endpoint: MeteredEndpoint, moments: random.Random) -> None:
    """Start the command and kill it after some number of calls, or soon after."""
    calls = endpoint.batch_rules.calls
    target, lag = calls.seen.total() + moments.randint(1, 9), moments.uniform(0.0, 0.3)
    process = subprocess.Popen(
        command(*words), env={**os.environ, **_ENV}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and calls.seen.total() < target:
        time.sleep(0.002)
    time.sleep(lag)  # only moves the moment, which is random anyway
    process.send_signal(signal.SIGKILL)
    process.wait()
