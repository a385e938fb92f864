"""A cluster of two machines, one of which is lost in the middle of a run."""

import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster

from infra.ray_engine import RayEngine
from pipeline import ids
from pipeline.model import WAITING, Outcome, Request
from pipeline.objects import Objects
from pipeline.spool import Spool
from tests.endpoint import MeteredEndpoint
from tests.support import OPENAI, job_for, metered

_REQUESTS, _TEXTS, _IN_FLIGHT = 120, 4, 8


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Two nodes with a core each, beside a head without any."""
    with warnings.catch_warnings():
        # Ray forks only to start other programs, which is safe for Lance.
        warnings.filterwarnings("ignore", "lance is not fork-safe")
        made: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        nodes = [made.add_node(num_cpus=1) for _ in range(2)]
        ray.init(address=made.address, namespace="vecmill", log_to_driver=False, logging_level=logging.ERROR)
        try:
            yield made, nodes
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
