"""A Prefect server and a worker of this machine's own: started, watched over, and ended."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from infra.nearby import answers
from infra.settings import QUIET, inherited
from pipeline.errors import InputError, StoreRefused

POOL = "vecmill"
"""The work pool of a machine that runs everything itself."""

HEARTBEAT_SECONDS = 30
"""How often a run says that it lives: Prefect permits no oftener."""

_START_SECONDS = 180
# Starts a program that the kernel ends when the one that asked for it is killed; Linux alone can do that.
_TETHERED = (
    sys.executable,
    "-c",
    "import ctypes, os, sys\n"
    "if sys.platform == 'linux': ctypes.CDLL(None).prctl(1, 15)  # PR_SET_PDEATHSIG, SIGTERM\n"
    "os.execv(sys.argv[1], sys.argv[1:])",
)

_STOP_SECONDS = 20  # that a process has to end by itself
_RESTS = (
    1.0,
    2.0,
    5.0,
    15.0,
)  # seconds before a process that ended is started again, the first time and later

LASTING = {
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS),
    "PREFECT_CLIENT_MAX_RETRIES": "10",  # a server or a database that is restarted ends no run
}
"""What lets a run outlast its server's restart, and a server know of a run that was killed."""

RUN_ENVIRONMENT = {**QUIET, **LASTING}
"""What the process of a run is given, wherever it is started."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the server listens, and what it keeps."""

    home: Path
    host: str = "127.0.0.1"
    port: int = 4200

    @property
    def dashboard(self) -> str:
        """The address that a person opens."""
        return f"http://{'127.0.0.1' if self.host == '0.0.0.0' else self.host}:{self.port}"  # noqa: S104

    @property
    def api(self) -> str:
        """The address that programs use."""
        return f"{self.dashboard}/api"

    def environment(self) -> dict[str, str]:
        """What server, worker and runs are given."""
        return {
            **RUN_ENVIRONMENT,
            "PREFECT_HOME": str(self.home),
            "PREFECT_API_URL": self.api,
            "PREFECT_UI_API_URL": self.api,  # else the pages of another port stay blank
            # A server that is restarted must know who holds which slot.
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
            "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
            "PREFECT_DEPLOYMENT_CONCURRENCY_SLOT_WAIT_SECONDS": "15",
            "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "10",
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "PREFECT_WORKER_PREFETCH_SECONDS": "2",
            "PREFECT_SERVER_DATABASE_TIMEOUT": "60",  # seconds that SQLite may be locked by another write
        }

    def check_free(self) -> None:
        """Raise InputError where something listens here already."""
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
            except OSError as error:
                raise InputError(
                    f"{self.host}:{self.port} cannot be used ({error.strerror}): perhaps vecmill is up "
                    f"already; see {self.dashboard}, or choose another --port"
                ) from error

    def answers(self) -> bool:
        """Whether the server can be asked."""
        return answers(self.api)


@dataclass(slots=True)
class Process:
    """A program that is started again when it ends."""

    name: str
    words: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    _running: "subprocess.Popen[bytes] | None" = None
    _ends: int = 0
    _since: float = 0.0
    _again: float = 0.0  # monotonic seconds from which it may be started again

    def start(self) -> None:
        """Start it, in a group of processes of its own: a terminal's Ctrl-C is not for it."""
        with self.log.open("ab") as log:
            self._running = subprocess.Popen(  # noqa: S603 - our own words
                [*_TETHERED, *self.words],
                env=inherited(self.environment),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._since = time.monotonic()

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._running is not None and self._running.poll() is None

    def keep_up(self, now: float) -> str | None:
        """Start it again where it has ended; says so."""
        if self.alive or self._running is None:
            return None
        if not self._again:
            self._ends = 0 if now - self._since > 60 else self._ends
            self._again = now + _RESTS[min(self._ends, len(_RESTS) - 1)]
            self._ends += 1
            code = self._running.returncode
            return f"the {self.name} ended with code {code}; it is started again (its log: {self.log})"
        if now >= self._again:
            self._again = 0.0
            self.start()
        return None

    def stop(self) -> None:
        """End it and all that it has started, by force where it will not."""
        process, self._running = self._running, None
        if process is None:
            return
        _signal(process.pid, signal.SIGTERM)
        until = time.monotonic() + _STOP_SECONDS
        while time.monotonic() < until and (process.poll() is None or _group_lives(process.pid)):
            time.sleep(0.1)
        _signal(process.pid, signal.SIGKILL)
        process.wait()


@dataclass(slots=True)
class Services:
    """The server and the worker, the server first."""

    place: Place
    server: Process = field(init=False)
    worker: Process = field(init=False)

    def __post_init__(self) -> None:
        place, environment = self.place, self.place.environment()
        prefect = [sys.executable, "-m", "prefect"]
        words = ["server", "start", "--host", place.host, "--port", str(place.port)]
        self.server = Process("server", [*prefect, *words], environment, place.home / "server.log")
        words = ["worker", "start", "--pool", POOL, "--type", "process", "--name", socket.gethostname()]
        self.worker = Process("worker", [*prefect, *words], environment, place.home / "worker.log")

    def start_server(self) -> None:
        """Start the server, and wait until it answers; raises StoreRefused where it does not."""
        self.place.check_free()
        self.server.start()
        until = time.monotonic() + _START_SECONDS
        while not self.place.answers():
            if not self.server.alive or time.monotonic() > until:
                self.server.stop()
                raise StoreRefused(f"the Prefect server did not start; its log is {self.server.log}")
            time.sleep(0.2)

    def watch(self, say: Callable[[str], None], stopped: Callable[[], bool]) -> None:
        """Keep both up until told to stop."""
        while not stopped():
            for process in (self.server, self.worker):
                said = process.keep_up(time.monotonic())
                if said:
                    say(said)
            time.sleep(0.5)

    def stop(self) -> None:
        """End both: the worker first, so that its runs can still say how they ended."""
        self.worker.stop()
        self.server.stop()


def _signal(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
