"""How quick a small run is: ten changed files among a thousand, against a Prefect flow that does nothing.

    uv run python -m tests.benchmarks.small_runs

Whole processes are timed, interleaved, in one environment. Without a server, an ingest may take half the
time of an empty flow with its embedded server; through a running server, twice that of an empty flow on it.
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from infra.settings import be_quiet
from tests.benchmarks.side_by_side import medians, ratio
from tests.support import command, write_pages

_PAGES, _CHANGED = 1000, 10
_EMBEDDED = {
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # on a busy machine
}
_EMPTY_FLOW = """
from prefect import flow

@flow
def empty() -> None:
    pass

empty()
"""


class Folder:
    """A thousand pages, ten of which change before each run."""

    def __init__(self, path: Path) -> None:
        self.path = write_pages(path, {f"{n:04d}.md": _page(n, 0) for n in range(_PAGES)})
        self._edits = 0

    def edit(self) -> None:
        """Change ten pages."""
        self._edits += 1
        pages = range(self._edits * _CHANGED, (self._edits + 1) * _CHANGED)
        write_pages(self.path, {f"{n % _PAGES:04d}.md": _page(n % _PAGES, self._edits) for n in pages})


def _page(number: int, edit: int) -> str:
    words = " ".join(f"word{number * 31 + n}" for n in range(120))
    return f"# Page {number}\n\nEdit {edit} of it. {words}\n\n第{number}頁の段落です。版は{edit}です。\n"


def _run(words: list[str], env: Mapping[str, str], folder: Path) -> None:
    done = subprocess.run(
        words, env={**os.environ, **env}, cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{words} failed:\n{done.stderr[-2000:]}")


@contextmanager
def _server(home: Path) -> Iterator[dict[str, str]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {"PREFECT_HOME": str(home), "PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}
    words = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(
        words, env={**os.environ, **env}, cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while server.poll() is None:
            try:
                httpx.get(f"{env['PREFECT_API_URL']}/health", timeout=2).raise_for_status()
                break
            except httpx.HTTPError:
                time.sleep(0.3)
        yield env
    finally:
        server.terminate()
        server.wait(timeout=60)


def main() -> None:
    """Print both ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    be_quiet()
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        folder = Folder(base / "docs")
        words = [*command("ingest", "docs", "--table", "docs", "--quiet")]
        empty = [sys.executable, "-c", _EMPTY_FLOW]
        alone = {"PREFECT_HOME": str(base / "prefect"), **_EMBEDDED}
        env = {"PYTHONPATH": str(Path.cwd())}
        _run(words, env, base)
        _run(empty, alone, base)

        def ingest(**more: str) -> None:
            folder.edit()
            _run(words, {**env, **more}, base)

        found = medians(
            rounds,
            {"ingest": ingest, "empty flow, embedded server": lambda: _run(empty, alone, base)},
        )
        with _server(base / "prefect") as served:
            found |= medians(
                rounds,
                {
                    "ingest as a flow": lambda: ingest(**served),
                    "empty flow, running server": lambda: _run(empty, served, base),
                },
            )
    ratio(found, "ingest", "empty flow, embedded server", most=0.5)
    ratio(found, "ingest as a flow", "empty flow, running server", most=2.0)


if __name__ == "__main__":
    main()
