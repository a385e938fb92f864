"""Runs at once over the same new texts pay for each text once, and all of them publish."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pyarrow as pa

from pipeline.claims import Claims
from pipeline.engine import InlineEngine
from pipeline.ids import digest
from pipeline.objects import Objects
from pipeline.ports import Advance
from pipeline.run import ingest
from tests.endpoint import MeteredEndpoint
from tests.endpoint.ledger import Charge
from tests.support import OPENAI, job_for, metered, rows, run, write_pages

_PAGES = {
    f"{n:02}.md": f"# Page {n}\n\nParagraph of page {n}.\n\n## 第二節\n\n第{n}頁の段落です。"
    for n in range(30)
}


def test_two_runs_into_two_tables_pay_for_each_text_once(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", _PAGES)
    with MeteredEndpoint(key="sk-test", latency=0.05) as endpoint:
        reached = metered(endpoint.url, batch_inputs=4, max_in_flight=2)
        jobs = [job_for(folder, store, table=name, **reached) for name in ("one", "two", "three")]
        with ThreadPoolExecutor(3) as pool:
            reports = list(pool.map(run, jobs))
        assert endpoint.ledger.billed_more_than_once() == {}
        assert sum(report.embedding["texts"] for report in reports) == endpoint.ledger.texts_billed
    first = rows(store, "one").drop_columns(["chunk_id"])
    assert all(rows(store, name).drop_columns(["chunk_id"]).equals(first) for name in ("two", "three"))
    assert all(report.published for report in reports)


def test_what_another_run_claimed_and_did_not_pay_for_is_sent_after_all(tmp_path: Path, store: str) -> None:
    folder, claims = write_pages(tmp_path / "docs", _PAGES), Claims(Objects(store, create=True), OPENAI)
    waits, ended = list[Advance](), threading.Event()

    def progress(advance: Advance) -> None:
        if "other runs" in advance.stage:
            waits.append(advance)
            ended.set()

    with MeteredEndpoint(key="sk-test") as endpoint, ThreadPoolExecutor(1) as pool:
        planned = [charge.text for charge in _charges(folder, tmp_path)]
        half = pa.array([digest(text) for text in planned[::2]], pa.string())
        job = job_for(folder, store, **metered(endpoint.url, batch_inputs=4))
        with claims.held("another run", half):
            report = pool.submit(ingest, job, lambda _: nullcontext(InlineEngine()), progress=progress)
            assert ended.wait(60)
            assert endpoint.ledger.texts_billed == len(planned) - len(half)
        assert report.result(60).embedding["texts"] == len(planned)
        assert endpoint.ledger.billed_more_than_once() == {}
    assert len(rows(store)) == 60
    assert (waits[0].done, waits[0].total) == (0, len(half))


def _charges(folder: Path, tmp_path: Path) -> Sequence[Charge]:
    """What a run of its own is billed for."""
    with MeteredEndpoint(key="sk-test") as endpoint:
        run(job_for(folder, str(tmp_path / "alone"), **metered(endpoint.url)))
        return endpoint.ledger.charges
