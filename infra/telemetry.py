"""Measures and traces of runs for OpenTelemetry, where somebody collects them; else nothing happens."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar

from infra.settings import otel_endpoint
from pipeline.errors import InputError
from pipeline.job import Job
from pipeline.ports import Runner

P = ParamSpec("P")
T = TypeVar("T")

_SUMS = {"texts": "{text}", "tokens": "{token}", "requests": "{request}", "retries": "{retry}"}

# An exception's own text and frames may hold what is no collector's business.
_PLAIN: Mapping[str, Any] = MappingProxyType({"record_exception": False, "set_status_on_exception": False})


@contextmanager
def measured(job: Job, runner: Runner) -> Iterator[tuple[Runner, Callable[[Mapping[str, Any]], None]]]:
    """A run as a span, with one for each stage; gives the runner that makes them, and what takes the report.

    Counted are runs by outcome, texts, tokens, requests, retries and USD; measured, the seconds of stages.
    """
    if otel_endpoint() is None:
        yield runner, lambda _: None
        return
    _start()
    from opentelemetry import metrics, trace

    tracer, meter = trace.get_tracer("vecmill"), metrics.get_meter("vecmill")
    about = {"vecmill.table": job.table, "vecmill.kind": job.kind, "vecmill.space": job.space.name}
    seconds = meter.create_histogram("vecmill.stage.duration", "s", "How long a stage took")
    runs = meter.create_counter("vecmill.runs", "{run}", "Runs by their outcome")
    ended = {"outcome": "failed"}

    def run(stage: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        began = time.monotonic()
        with tracer.start_as_current_span(stage.__name__, **_PLAIN):
            result = runner(stage, *args, **kwargs)
        seconds.record(time.monotonic() - began, {**about, "vecmill.stage": stage.__name__})
        return result

    def done(report: Mapping[str, Any]) -> None:
        for name, unit in _SUMS.items():
            meter.create_counter(f"vecmill.{name}", unit).add(report["embedding"][name], about)
        meter.create_counter("vecmill.cost", "{USD}").add(report["cost_usd"] or 0.0, about)
        ended["outcome"] = "published" if report["published"] else "unchanged"

    with tracer.start_as_current_span(
        f"vecmill {job.kind}", attributes={**about, "vecmill.run": job.run_id}, **_PLAIN
    ) as span:
        try:
            yield run, done
        except BaseException as error:
            span.set_status(trace.StatusCode.ERROR, _said(error, job))
            ended["outcome"] = type(error).__name__
            raise
        finally:
            runs.add(1, {**about, **{f"vecmill.{name}": value for name, value in ended.items()}})


def _said(error: BaseException, job: Job) -> str:
    """What went wrong, without what is secret."""
    said, key = f"{type(error).__name__}: {error}", job.endpoint.api_key
    return said.replace(key, "***") if key else said


@cache
def _start() -> None:
    """Send what is measured to the collector that the environment names, once a process."""
    try:
        from opentelemetry import metrics, trace
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise InputError(
            f"OTEL_EXPORTER_OTLP_ENDPOINT is {otel_endpoint()}, and to send measures there needs an extra: "
            "pip install 'vecmill[otel]', or unset it"
        ) from error
    about = Resource.create({"service.name": "vecmill"})
    traces = TracerProvider(resource=about)
    traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(traces)
    reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    metrics.set_meter_provider(MeterProvider(resource=about, metric_readers=[reader]))
