"""Whether commands find the server of a vecmill up of the same store."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from infra.nearby import announced, server_nearby


class _Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/api/health" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def api() -> Iterator[str]:
    """The address of a server that says that it is well."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Healthy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/api"
        server.shutdown()
        thread.join()


def _said(store: str) -> Path:
    return Path(store) / "prefect" / "up.json"


def test_it_is_found_while_it_runs_and_not_afterwards(store: str, api: str) -> None:
    assert server_nearby(store) is None
    with announced(store, api):
        assert server_nearby(store) == api
        assert server_nearby(f"{store}-2") is None
    assert server_nearby(store) is None
    assert not _said(store).exists()


def test_one_that_was_killed_is_not_taken_for_one_that_runs(store: str, api: str) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    with announced(store, api):
        said = _said(store)
        said.write_text(said.read_text().replace(str(os.getpid()), str(ended.pid)))
        assert server_nearby(store) is None


def test_one_that_does_not_answer_is_left_alone(store: str) -> None:
    with announced(store, "http://127.0.0.1:9/api"):
        assert server_nearby(store) is None


@pytest.mark.parametrize("said", ["", "{", "[]", "{}", '{"pid": "x", "api": 1}'])
def test_what_cannot_be_read_is_no_server(store: str, said: str) -> None:
    _said(store).parent.mkdir(parents=True)
    _said(store).write_text(said)
    assert server_nearby(store) is None


def test_one_leaves_what_a_later_one_has_said(store: str, api: str) -> None:
    with announced(store, "http://127.0.0.1:9/api"), announced(store, api):
        pass
    assert not _said(store).exists()
    with announced(store, "http://127.0.0.1:9/api"):
        later = f'{{"pid":{os.getpid()},"api":"{api}"}}'
        _said(store).write_text(later)
    assert server_nearby(store) == api


def test_nothing_is_kept_on_object_storage(api: str) -> None:
    with announced("s3://bucket/store", api):
        assert server_nearby("s3://bucket/store") is None
