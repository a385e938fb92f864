"""Processes of one machine share a quota through a file, and it remembers the minute before."""

import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import StoreRefused
from pipeline.job import Endpoint, Secret
from pipeline.quota.machine import MachineQuota, quota_name
from pipeline.quota.quota import Ask
from pipeline.space import Space
from tests.endpoint.probe import Clock

_ASK = Ask("run", "schedule", None, 60_000, (1000,) * 4)
_SPACE = Space("openai", "text-embedding-3-small", 8)


def _granted(quota: MachineQuota, clock: Clock, seconds: float, step: float = 0.05) -> int:
    """Tokens."""
    end, tokens = clock.now + seconds, 0
    while clock.now < end:
        tokens += 1000 * quota.decide(_ASK).requests
        clock.now += step
    return tokens


def test_what_one_process_has_used_the_next_does_not_have(tmp_path: Path) -> None:
    clock = Clock(100.0)
    assert _granted(MachineQuota(tmp_path, "q", clock), clock, 50) == pytest.approx(50_000, abs=2000)
    assert _granted(MachineQuota(tmp_path, "q", clock), clock, 10) <= 11_000
    assert _granted(MachineQuota(tmp_path, "another", clock), clock, 10) == pytest.approx(10_000, abs=1500)


def test_after_a_minute_or_a_boot_nothing_has_to_be_remembered(tmp_path: Path) -> None:
    clock = Clock(100.0)
    quota = MachineQuota(tmp_path, "q", clock)
    _granted(quota, clock, 30)
    clock.now += 61
    assert quota.decide(_ASK).requests
    _granted(quota, clock, 30)
    clock.now = 1.0  # the clock begins anew
    assert quota.decide(_ASK).wait == 0


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"at": 1, "quota": {}}', b'{"at": "x"}', b"\xff"])
def test_a_file_that_is_damaged_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "q.json").write_bytes(content)
    assert MachineQuota(tmp_path, "q", Clock(100.0)).decide(_ASK).requests


def test_a_folder_that_cannot_be_used_says_how_to_name_another(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreRefused, match="set VECMILL_QUOTA_DIR"):
        MachineQuota(tmp_path / "file" / "folder", "q")


def test_the_name_tells_endpoints_and_keys_apart_and_shows_no_key() -> None:
    endpoints = [
        Endpoint(base_url=url, api_key=key)
        for url in (None, "http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1")
        for key in (None, Secret("sk-one"), Secret("sk-two"))
    ]
    names = {quota_name(_SPACE, endpoint) for endpoint in endpoints}
    assert len(names) == len(endpoints)
    assert all(name.isalnum() and "sk" not in name for name in names)


def _ask_often(folder: Path, times: int, sender: "multiprocessing.connection.Connection") -> None:
    quota = MachineQuota(folder, "q", lambda: 100.0)  # time stands still: only so much is there
    sender.send(sum(quota.decide(_ASK).requests for _ in range(times)))


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[list[int]]:
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe(duplex=False) for _ in range(4)]
    processes = [context.Process(target=_ask_often, args=(tmp_path, 100, sender)) for _, sender in pipes]
    for process in processes:
        process.start()
    yield [receiver.recv() for receiver, _ in pipes]
    for process in processes:
        process.join()


def test_processes_that_ask_at_once_get_together_what_one_would_get(tmp_path: Path, fleet: list[int]) -> None:
    clock = Clock(100.0)
    alone = MachineQuota(tmp_path / "alone", "q", clock)
    assert sum(fleet) == sum(alone.decide(_ASK).requests for _ in range(400)) > 0
