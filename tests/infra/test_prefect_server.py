"""A server and a worker of this machine's own: kept up, and ended with all that they have started."""

import os
import socket
import sys
from pathlib import Path

import pytest

from infra import prefect_server
from infra.prefect_server import Place, Process
from pipeline.errors import InputError
from tests.dashboard import until


def _process(folder: Path, program: str) -> Process:
    return Process("worker", [sys.executable, "-c", program], {"FOLDER": str(folder)}, folder / "log")


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_what_ends_is_started_again_and_rests_longer_each_time(tmp_path: Path) -> None:
    process = _process(tmp_path, "import sys; sys.exit(3)")
    process.start()
    now, rests = 0.0, []
    for _ in range(5):
        until(lambda: not process.alive, 30, "it ends", every=0.02)
        said = process.keep_up(now)
        assert said is not None
        assert "the worker ended with code 3; it is started again" in said
        began = now
        while not process.alive and process._again:
            now += 0.5
            assert process.keep_up(now) is None
        rests.append(now - began)
    assert rests == [1.0, 2.0, 5.0, 15.0, 15.0]
    process.stop()


def test_to_stop_ends_what_it_has_started_too_by_force_where_it_will_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefect_server, "_STOP_SECONDS", 0.5)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); "
    child = f'{deaf} open("child", "w").write(str(__import__("os").getpid())); time.sleep(600)'
    program = (
        f"{deaf} import os, subprocess, sys; os.chdir(os.environ['FOLDER']); "
        f"subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(600)"
    )
    process = _process(tmp_path, program)
    process.start()
    file = tmp_path / "child"
    pid = int(until(lambda: file.exists() and file.read_text(), 30, "the child has begun"))
    assert process.alive
    process.stop()
    assert not process.alive
    until(lambda: not _alive(pid), 10, "the child is gone")


def test_what_is_stopped_is_not_started_again(tmp_path: Path) -> None:
    process = _process(tmp_path, "import time; time.sleep(600)")
    process.start()
    process.stop()
    assert process.keep_up(1e9) is None
    assert not process.alive


def test_a_port_that_is_taken_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=r"perhaps vecmill is up already.*choose another --port"):
            Place(tmp_path, port=port).check_free()
    Place(tmp_path, port=port).check_free()


def test_runs_are_given_the_server_and_quiet_libraries_and_the_server_keeps_its_leases(
    tmp_path: Path,
) -> None:
    place = Place(tmp_path, "0.0.0.0", 4711)
    environment = place.environment()
    assert place.dashboard == "http://127.0.0.1:4711"
    assert environment["PREFECT_API_URL"] == environment["PREFECT_UI_API_URL"] == place.api
    assert environment["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == "30"
    assert environment["PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"].endswith("filesystem")
    assert environment["DO_NOT_TRACK"] == "1"
    assert not place.answers()
    assert "OPENAI_API_KEY" not in environment
    assert os.environ.get("PREFECT_API_URL") is None
