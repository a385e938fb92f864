"""The script as it is; small programs in the place of prefect, ray and vecmill note how they are started."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen

import pytest

from tests.deployment import WORKER

_NOTES = 'echo "$(basename "$0") $*" >> "$NOTES"\n'
_STAYS = "exec sleep 600"


class Container:
    """A folder of programs, and the script that starts them."""

    def __init__(self, folder: Path) -> None:
        self.notes = folder / "notes"
        self.notes.touch()
        self._folder = folder
        self._started: Popen[bytes] | None = None
        for name in ("prefect", "ray", "vecmill"):
            self.program(name, "")

    def program(self, name: str, does: str) -> None:
        """Put a program in place that notes its words, and does something then."""
        path = self._folder / name
        path.write_text(f"#!/bin/bash\n{_NOTES}{does}\n", "utf-8")
        path.chmod(0o755)

    def start(self, **environment: str) -> "Popen[bytes]":
        path = f"{self._folder}:{os.environ['PATH']}"
        known = {"PATH": path, "NOTES": str(self.notes), "VECMILL_STOP_SECONDS": "30", **environment}
        self._started = Popen(["/bin/bash", str(WORKER)], env=known, start_new_session=True)
        return self._started

    def said(self, until: str) -> list[str]:
        """What was started, up to a line that begins so."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            lines = self.notes.read_text("utf-8").splitlines()
            if any(line.startswith(until) for line in lines):
                return lines
            time.sleep(0.02)
        raise AssertionError(f"nobody said {until!r}: {lines}")

    def end(self) -> None:
        if self._started:
            try:
                os.killpg(self._started.pid, signal.SIGKILL)
            except ProcessLookupError:
                return
            self._started.wait()


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    one = Container(tmp_path)
    yield one
    one.end()


def test_it_registers_first_then_joins_ray_and_starts_the_worker(container: Container) -> None:
    container.program("prefect", f"[ $1 = worker ] || exit 0; {_STAYS}")
    container.program("ray", _STAYS)
    container.start(RAY_ADDRESS="ray:6379")
    said = container.said("prefect worker")
    assert said[:2] == ["prefect work-pool inspect vecmill", "vecmill deploy --pool vecmill"]
    said = container.said("ray")
    assert "ray start --address=ray:6379 --num-cpus=0 --object-store-memory=134217728" in "\n".join(said)


def test_a_pool_that_is_not_there_is_made(container: Container) -> None:
    container.program("prefect", "[ $2 != inspect ]")
    container.start()
    assert "prefect work-pool create vecmill --type process" in container.said("prefect worker")


def test_it_ends_with_an_error_when_nothing_can_be_registered(container: Container) -> None:
    container.program("vecmill", "exit 3")
    script = container.start()
    container.said("vecmill deploy")
    assert script.wait(60) == 3


@pytest.mark.parametrize("stubborn", [False, True])
def test_it_ends_when_rays_node_ends_however_the_worker_takes_it(
    container: Container, stubborn: bool
) -> None:
    ignores = "trap '' TERM; " if stubborn else ""
    container.program("prefect", f"[ $1 = worker ] || exit 0; {ignores}{_STAYS}")
    container.program("ray", "exit 1")
    script = container.start(RAY_ADDRESS="ray:6379", VECMILL_STOP_SECONDS="1" if stubborn else "30")
    container.said("prefect worker")
    assert script.wait(60) == 1


def test_told_to_end_it_tells_the_worker_and_ends_well(container: Container) -> None:
    told = (
        'trap "echo told >> $NOTES; exit 0" TERM; echo ready >> "$NOTES"; while :; do read -t 1 <> <(:); done'
    )
    container.program("prefect", f"[ $1 = worker ] || exit 0; {told}")
    script = container.start()
    container.said("ready")
    script.send_signal(signal.SIGTERM)
    assert container.said("told")
    assert script.wait(60) == 0
