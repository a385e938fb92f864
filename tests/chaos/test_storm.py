"""All that can go wrong at an endpoint, at once, and a minute's outage: every text is embedded once."""

import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from pipeline.job import Budget
from pipeline.objects import Objects
from pipeline.staging import Staging
from tests.endpoint import Fault, Faults, MeteredEndpoint
from tests.support import job_for, metered, rows, run, write_pages

_PAGES, _PARAGRAPHS = 400, 10  # of which one text each
_OUTAGE = 60.0  # seconds
_POISON = "毒poison"
_RATES = {
    Fault.SERVER_ERROR: 0.10,
    Fault.RESET_AFTER_BILLING: 0.05,
    Fault.HANG: 0.02,
    Fault.GARBAGE: 0.02,
    Fault.SHORT: 0.02,
    Fault.NAN: 0.01,
}


class Storm(Faults):
    """Faults by chance; from some request on, for a while, the service is not available at all."""

    def __init__(self, after: int, seconds: float) -> None:
        super().__init__(
            rates={str(fault): rate for fault, rate in _RATES.items()}, poison_marker=_POISON, seed=5
        )
        self._before = after
        self._seconds = seconds
        self._until: float | None = None
        self.kept_out = 0  # requests, by the outage

    def poisons(self, texts: Iterable[str]) -> bool:
        self._before -= 1
        if self._before <= 0 and self._until is None:
            self._until = time.monotonic() + self._seconds
        return super().poisons(texts)

    def draw(self) -> Fault | None:
        if self._until is not None and time.monotonic() < self._until:
            self.kept_out += 1
            return Fault.SERVER_ERROR
        return super().draw()


def _page(number: int) -> str:
    """A page of ten sections; one section in a thousand is one that the endpoint will not have."""
    return "\n\n".join(
        f"# {number}の{part}\n\nSection {part} of page {number}, 第{number}頁の第{part}節です。"
        + (_POISON if (number * _PARAGRAPHS + part) % 1000 == 500 else "")
        for part in range(_PARAGRAPHS)
    )


@pytest.mark.slow
def test_a_storm_and_an_outage_cost_only_what_the_faults_have_billed(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", {f"{n:03}.md": _page(n) for n in range(_PAGES)})
    poisonous = _PAGES * _PARAGRAPHS // 1000
    storm = Storm(after=150, seconds=_OUTAGE)
    with MeteredEndpoint(faults=storm, latency=0.02) as endpoint:
        reached = metered(endpoint.url, batch_inputs=10, timeout=3.0, patience=300.0)
        job = job_for(folder, store, budget=Budget(failures=0.05), **reached)
        report = run(job)
        bill = endpoint.ledger

    table = rows(store)
    texts = table["text"].to_pylist()
    assert len(texts) == len(set(texts)) == _PAGES * _PARAGRAPHS - poisonous
    letters = Staging(Objects(store), job.run_id).dead_letters()
    assert len(letters) == report.chunks.dead == poisonous
    assert all(_POISON in letter["excerpt"] and "400" in letter["reason"] for letter in letters)
    assert storm.kept_out > 0
    assert report.seconds["embed"] >= _OUTAGE
    assert report.embedding["texts"] == len(texts)
    # Billed and not needed: to the last text what the report says that the faults have billed in vain.
    assert bill.texts_billed - len(texts) == report.embedding["paid_again"] > 0
    assert report.embedding["retries"] + report.embedding["requests"] < bill.arrived < 3 * 400 + 200
