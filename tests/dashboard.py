"""vecmill up, as a test starts it: with a folder of its own, on a free port, ended with the test."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.processes import children
from tests.support import command

BUSY = 4  # times as long as on a quiet machine: a busy one is no defect
_START_SECONDS = 240  # on a machine that does much else
_DONE = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")

IN_FLIGHT = 2
"""Requests of a run that are on their way at once, in `metered`."""


def metered(**urls: str) -> str:
    """A vecmill.toml of pipelines, each with its folder, table and endpoint: they send page by page."""
    pipelines = (
        f'[pipelines.{name}]\ntable = "{name}"\nsource = {{ uri = "{name}" }}\n'
        'embedding = { provider = "openai", model = "text-embedding-3-small", dimensions = 64, '
        f'base_url = "{url}", batch_inputs = 1, max_in_flight = {IN_FLIGHT} }}\n'
        for name, url in urls.items()
    )
    return "\n".join(('[store]\nuri = "store"\n', *pipelines))


def pages(count: int, of: str = "the book") -> dict[str, str]:
    """So many pages in two languages, by their files' names: each is a text to send."""
    return {f"{n:03}.md": f"# Page {n}\n\nPage {n} of {of}. 第{n}頁の段落です。" for n in range(count)}


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until(condition: Callable[[], Any], seconds: float, what: str, every: float = 0.3) -> Any:
    """Wait until a condition holds, and give what it gives; fail with `what` where it does not in time."""
    end = time.monotonic() + seconds * BUSY
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
        time.sleep(every)
    return found


@dataclass
class Up:
    """A machine that runs everything itself."""

    folder: Path  # with vecmill.toml
    env: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    _process: "subprocess.Popen[bytes] | None" = None

    @property
    def address(self) -> str:
        """Of the dashboard."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Of vecmill up."""
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> "Up":
        self.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.stop()

    def start(self) -> str:
        """Start it, and wait until it says where the dashboard is; gives all that it says."""
        log = self.folder / "up.log"
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                command("up", "--port", str(self.port)),
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(Path.cwd()), **self.env},
                stdout=file,
                stderr=file,
            )

        def ready() -> str | None:
            said = log.read_text()
            assert self._process is not None
            assert self._process.poll() is None, said
            return said if "PREFECT_API_URL=" in said else None

        return str(until(ready, _START_SECONDS, "vecmill up is ready"))

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> int:
        """End it as a person or a supervisor does; gives its exit code."""
        if self._process is None:
            return 0
        process, self._process = self._process, None
        process.send_signal(with_signal)
        try:
            return process.wait(timeout=90)
        finally:
            process.kill()

    def processes(self, words: str) -> list[int]:
        """The processes below it whose command lines hold some words."""
        return [pid for pid, line in children(self.pid).items() if words in line]

    def log(self, name: str) -> str:
        """The end of a log, for messages."""
        return (self.folder / "store" / "prefect" / f"{name}.log").read_text()[-2000:]

    def get(self, path: str) -> Any:
        """Ask the server."""
        return self._ask("GET", path, None)

    def post(self, path: str, body: Any = None) -> Any:
        """Ask the server, or tell it."""
        return self._ask("POST", path, body or {})

    def _ask(self, method: str, path: str, body: Any) -> Any:
        def asked() -> httpx.Response | None:
            try:
                answer = httpx.request(method, f"{self.address}/api{path}", json=body, timeout=30)
            except httpx.TransportError:  # a test has killed it, or the machine does much else
                return None
            return None if answer.status_code == 503 else answer  # its database is locked for a moment

        answer: httpx.Response = until(asked, 150, f"the server answers to {path}")
        return answer.raise_for_status().json()

    def deployment(self, full_name: str) -> Any:
        """A deployment, by the names of its flow and its own."""
        return self.get(f"/deployments/name/{full_name}")

    def run(self, full_name: str, **parameters: Any) -> str:
        """Start a run of a deployment; gives its id on the dashboard."""
        of = self.deployment(full_name)["id"]
        return str(self.post(f"/deployments/{of}/create_flow_run", {"parameters": parameters})["id"])

    def state(self, run: str) -> str:
        """The type of a run's state."""
        return str(self.get(f"/flow_runs/{run}")["state_type"])

    def wait(self, run: str, *states: str, seconds: float = 150) -> Any:
        """Wait until a run is in one of some states, or at its end; gives the run."""
        wanted = states or _DONE

        def reached() -> Any:
            found = self.get(f"/flow_runs/{run}")
            assert found["state_type"] in wanted or found["state_type"] not in _DONE, found["state"]
            return found if found["state_type"] in wanted else None

        return until(reached, seconds, f"run {run} is {' or '.join(wanted)}")

    def wait_for_a_person(self, run: str) -> None:
        """Wait until a run is paused and its question can be answered: Prefect saves that only afterwards."""
        keyset = self.wait(run, "PAUSED")["state"]["state_details"]["run_input_keyset"]
        asked = {"prefix": keyset["schema"].removesuffix("-schema"), "limit": 10}

        def saved() -> bool:
            found = {one["key"] for one in self.post(f"/flow_runs/{run}/input/filter", asked)}
            return {keyset["schema"], keyset["description"]} <= found

        until(saved, 30, "the question is saved")

    def shown(self, run: str) -> dict[str, Any]:
        """A run's artifacts, by key."""
        ids = {"flow_runs": {"id": {"any_": [run]}}}
        return {one["key"]: one["data"] for one in self.post("/artifacts/filter", ids)}
