"""A cluster of two machines, one of which is lost in the middle of a run."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster

from infra.ray_cluster import open_ray
from infra.ray_engine import RayEngine
from pipeline import ids
from pipeline.job import Endpoint
from pipeline.local_models import identified
from pipeline.model import WAITING, Outcome, Request
from pipeline.objects import Objects
from pipeline.space import Space
from pipeline.spool import Spool
from tests.endpoint import MeteredEndpoint
from tests.models import DIMENSIONS, onnx_folder
from tests.support import OPENAI, job_for, metered

_REQUESTS, _TEXTS, _IN_FLIGHT = 120, 4, 8


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Two nodes with a core each, beside a head without any."""
    with _cluster() as made:
        yield made, [made.add_node(num_cpus=1) for _ in range(2)]


@contextmanager
def _cluster() -> Iterator[Any]:
    with warnings.catch_warnings():
        # Ray forks only to start other programs, which is safe for Lance.
        warnings.filterwarnings("ignore", "lance is not fork-safe")
        made: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        ray.init(address=made.address, namespace="vecmill", log_to_driver=False, logging_level=logging.ERROR)
        try:
            yield made
        finally:
            ray.shutdown()
            made.shutdown()


def _request(number: int) -> Request:
    texts = tuple(f"text {n} of request {number}, 第{number}の文{n}" for n in range(_TEXTS))
    return Request(number, texts, tuple(map(ids.digest, texts)), 40)


@pytest.mark.slow
def test_a_machine_that_is_lost_costs_what_was_in_flight_on_it_and_the_run_completes(
    cluster: Any, store: str
) -> None:
    made, nodes = cluster
    objects = Objects(store, create=True)
    with MeteredEndpoint(key="sk-test", latency=0.1) as endpoint:
        job = job_for(Path("unused"), store, **metered(endpoint.url, max_in_flight=_IN_FLIGHT, rpm=6000))
        outcomes = list[Outcome]()
        for outcome in RayEngine(2).embed(job, map(_request, range(_REQUESTS))):
            if outcome is not WAITING:
                outcomes.append(outcome)
            if len(outcomes) == _REQUESTS // 4 and len(nodes) == 2:
                made.remove_node(nodes.pop(), allow_graceful=False)
        again = sum(times - 1 for times in endpoint.ledger.billed_more_than_once().values())
        bill = endpoint.ledger
    assert sorted(outcome.number for outcome in outcomes) == list(range(_REQUESTS))
    assert again <= _IN_FLIGHT * _TEXTS
    spool = Spool(objects, OPENAI)
    kept = [name for _, rows in spool.rows(spool.names()) for name in rows["text_hash"].to_pylist()]
    assert sorted(kept) == sorted({ids.digest(charge.text) for charge in bill.charges})
    assert len(kept) == _REQUESTS * _TEXTS


@pytest.mark.slow
def test_a_model_of_this_machine_has_a_gpu_to_itself_where_the_cluster_has_some(tmp_path: Path) -> None:
    space = identified(Space("onnx", str(onnx_folder(tmp_path / "small")), DIMENSIONS))
    job = replace(job_for(Path("unused"), str(tmp_path / "store"), space=space), endpoint=Endpoint())
    Objects(job.store, create=True)
    free, done = set[float](), 0
    with _cluster() as made:
        made.add_node(num_cpus=4, num_gpus=1)  # Ray counts GPUs, and does not look for them
        with open_ray(made.address, 4) as engine:
            for outcome in engine.embed(job, map(_request, range(8))):
                if outcome is not WAITING:
                    done += outcome.texts
                    free.add(ray.available_resources().get("GPU", 0.0))  # type: ignore[no-untyped-call]
    assert done == 8 * _TEXTS
    assert free == {0.0}
