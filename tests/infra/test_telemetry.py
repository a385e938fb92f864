"""What a collector receives of a run, and that nobody needs one."""

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support import vecmill, write_pages


class Collector(ThreadingHTTPServer):
    """An OTLP collector over HTTP that keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.taken: dict[str, list[bytes]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def spans(self) -> list[str]:
        """The names of all spans."""
        found = [ExportTraceServiceRequest.FromString(body) for body in self.taken.get("/v1/traces", [])]
        return [
            span.name
            for request in found
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def sums(self) -> dict[str, float]:
        """The sums of all counters, by name."""
        found = [ExportMetricsServiceRequest.FromString(body) for body in self.taken.get("/v1/metrics", [])]
        return {
            metric.name: point.as_int or point.as_double
            for request in found
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.sum.data_points
        }


class _Taking(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.taken.setdefault(self.path, []).append(body)
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.slow
def test_a_collector_receives_a_span_a_stage_and_what_was_embedded(
    collector: Collector, tmp_path: Path
) -> None:
    write_pages(tmp_path / "docs", {"a.md": "# One\n\nText of one.", "ja.md": "# 二\n\n二の本文です。"})
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_EXPORTER_OTLP_COMPRESSION": "none"}
    ran = vecmill("ingest", "docs", "--table", "docs", "--json", cwd=tmp_path, env=env)
    assert ran.code == 0, ran.err
    assert {"vecmill ingest", "list_documents", "split", "embed", "publish"} <= set(collector.spans())
    sums = collector.sums()
    assert sums["vecmill.texts"] == 2
    assert sums["vecmill.tokens"] == ran.json["embedding"]["tokens"]
    assert sums["vecmill.runs"] == 1


def test_a_collector_without_the_extra_is_refused_with_what_to_install(tmp_path: Path) -> None:
    write_pages(tmp_path / "docs", {"a.md": "# One\n\nText of one."})
    # A folder that hides the SDK, as an installation without the extra does.
    hidden = tmp_path / "hidden" / "sitecustomize.py"
    hidden.parent.mkdir()
    hidden.write_text("import sys\nsys.modules['opentelemetry.sdk'] = None\n")
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "PYTHONPATH": f"{hidden.parent}:{Path.cwd()}"}
    ran = vecmill("ingest", "docs", "--table", "docs", cwd=tmp_path, env=env)
    assert ran.code == 3, sys.path
    assert "pip install 'vecmill[otel]'" in ran.err
