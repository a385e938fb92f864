"""A run that is told to stop sends nothing more, keeps what is paid, and leaves no process behind."""

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.ledger import Ledger
from pipeline.objects import Objects
from pipeline.store.log import Log
from tests.endpoint import Faults, MeteredEndpoint
from tests.processes import marked
from tests.support import OPENAI, command, rows, vecmill, write_pages

PAGES = {f"{n:02}.md": f"# Page {n}\n\nParagraph of page {n}. 第{n}頁の段落です。" for n in range(40)}
IN_FLIGHT = 3
# What a run is doing when the signal comes: waiting for answers, between attempts, for its own quota.


def _failing() -> Faults:
    """Four requests go well, and none after them."""
    return Faults([None] * 4, rates={"server_error": 1.0})


# With what latency, faults and options, and after how many requests.
MOMENTS: dict[str, tuple[float, Callable[[], Faults], tuple[str, ...], int]] = {
    "waiting for answers": (0.4, Faults, (), 6),
    "between attempts": (0.0, _failing, (), 6),
    "waiting for the quota": (0.0, Faults, ("--rpm", "12"), 2),
}


# What is handed over cannot be called back. Ray's driver hears of a signal within a second, then its workers.
SENT_AFTER = {"inline": IN_FLIGHT, "ray": 5 * IN_FLIGHT}


@dataclass(frozen=True, slots=True)
class Stopped:
    """A run that was told to stop."""

    code: int
    err: str
    seconds: float  # that it took to end
    sent_after: int  # requests that arrived after the signal
    left: list[str]  # processes that were there after it, by their command lines


def _stopped(
    words: list[str], folder: Path, endpoint: MeteredEndpoint, with_signal: signal.Signals, after: int
) -> Stopped:
    """Start a run, tell it to stop once so many requests have arrived, and look what is left of it."""
    mark = f"VECMILL_TEST_RUN={uuid.uuid4().hex}"
    name, _, value = mark.partition("=")
    env = {**os.environ, "OPENAI_API_KEY": "sk-test", name: value}
    with subprocess.Popen(
        command(*words),
        cwd=folder,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        while process.poll() is None and endpoint.ledger.arrived < after:
            time.sleep(0.01)
        assert process.poll() is None, "the run was over before it could be stopped"
        arrived, began = endpoint.ledger.arrived, time.monotonic()
        if with_signal == signal.SIGINT:
            os.killpg(process.pid, with_signal)  # as a terminal tells all that runs in it
        else:
            process.send_signal(with_signal)
        _, err = process.communicate(timeout=90)
        ended = time.monotonic()
        sent_after = endpoint.ledger.arrived - arrived
        assert process.returncode is not None
        return Stopped(process.returncode, err.decode(), ended - began, sent_after, _left(mark))


def _left(mark: str) -> list[str]:
    """The processes with a mark in their environment, once they had some seconds to end."""
    until = time.monotonic() + 10
    while (found := marked(mark)) and time.monotonic() < until:
        time.sleep(0.2)
    return [*found.values()]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "engine", "sent"),  # each of a kind with each of another
    [
        ("waiting for answers", "inline", signal.SIGINT),
        ("waiting for answers", "ray", signal.SIGTERM),
        ("between attempts", "inline", signal.SIGTERM),
        ("between attempts", "ray", signal.SIGINT),
        ("waiting for the quota", "inline", signal.SIGINT),
        ("waiting for the quota", "ray", signal.SIGTERM),
    ],
)
def test_a_run_that_is_told_to_stop_does_so_at_once_and_the_next_goes_on(
    moment: str, engine: str, sent: signal.Signals, tmp_path: Path
) -> None:
    write_pages(tmp_path / "docs", PAGES)
    latency, faults, options, after = MOMENTS[moment]
    store = str(tmp_path / "store")
    with MeteredEndpoint(key="sk-test", latency=latency, faults=faults()) as endpoint:
        words = ["ingest", "docs", "--table", "docs", "--store", store, "--embedding", OPENAI.name]
        words += ["--base-url", endpoint.url, "--batch-inputs", "2", "--max-in-flight", str(IN_FLIGHT)]
        words.append("--quiet")
        here = [*words, "--engine", engine, "--workers", "2", *options]
        stopped = _stopped(here, tmp_path, endpoint, sent, after)
        assert stopped.err == "error: interrupted; what was paid is kept\n"
        assert stopped.code == 130
        assert stopped.left == []
        assert stopped.sent_after <= SENT_AFTER[engine]
        assert stopped.seconds < 25
        assert Log(Objects(store), "docs").last() is None
        [record] = Ledger(Objects(store)).runs()
        assert record["state"] == "cancelled"
        paid = endpoint.ledger.texts_billed
        assert record["spent"]["texts"] == paid

        endpoint.faults = Faults()
        env = {"OPENAI_API_KEY": "sk-test"}
        ran = vecmill(*words, "--json", cwd=tmp_path, env=env)
        assert ran.code == 0, ran.err
        report = ran.json
        assert (report["embedding"]["cache_hits"], report["embedding"]["texts"]) == (paid, 40 - paid)
        assert endpoint.ledger.billed_more_than_once() == {}
    assert len(rows(store)) == 40
