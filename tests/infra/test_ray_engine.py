"""Work on Ray: the same table as in one process, and no loss where a worker is killed."""

import os
import signal
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from infra.ray_cluster import open_ray
from pipeline import run as runs
from pipeline.embedding.packing import Text, pack
from pipeline.errors import ProviderRefused
from pipeline.ids import digest
from pipeline.job import Endpoint
from pipeline.local_models import identified
from pipeline.model import WAITING, Request
from pipeline.objects import Objects
from pipeline.ports import Engine, Limits
from pipeline.space import Space
from pipeline.splitter_spec import SplitterSpec
from tests.endpoint import Faults, MeteredEndpoint
from tests.models import DIMENSIONS, onnx_folder
from tests.processes import children, still_there
from tests.support import job_for, metered, rows, run, write_pages

pytestmark = pytest.mark.slow

_LIMITS = Limits(inputs=4, tokens=10_000, tokens_an_input=1000, batch=4)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with open_ray(None, 2) as opened:
        yield opened


def _pages() -> dict[str, str]:
    return {
        f"{n}.md": f"# Page {n}\n\n" + "\n\n".join(f"{n}-{m}: 水は流れる。" * 8 for m in range(8))
        for n in range(9)
    }


def _requests(count: int) -> list[Request]:
    texts = [f"text {number} 文章{number}" for number in range(count * 4)]
    return list(pack((Text(digest(text), 8, text) for text in texts), _LIMITS, Endpoint()))


def _worker_pids() -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                title = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if title.startswith(b"ray::_Actor"):
                found.append(int(entry.name))
    return found


def test_what_is_signalled_to_a_run_s_group_does_not_reach_its_ray(engine: Engine) -> None:
    assert list(engine.map(abs, [-1])) == [1]  # a worker has started
    own = {pid: line for pid, line in children(os.getpid()).items() if "/ray/" in line or "ray::" in line}
    for name in ("gcs_server", "raylet", "ray::"):
        assert any(name in line for line in own.values())
    assert os.getpgid(0) not in {os.getpgid(pid) for pid in still_there(own)}


def test_ray_and_inline_make_the_same_table(engine: Engine, tmp_path: Path) -> None:
    folder = write_pages(tmp_path / "docs", _pages())
    here, there = str(tmp_path / "inline"), str(tmp_path / "ray")
    with MeteredEndpoint(key="sk-test") as endpoint:
        inline = run(job_for(folder, here, **metered(endpoint.url, batch_inputs=5)))
        spread = runs.ingest(
            job_for(folder, there, **metered(endpoint.url, batch_inputs=5)), lambda _: nullcontext(engine)
        )
    assert spread.embedding == inline.embedding
    assert spread.embedding["requests"] > 2
    assert rows(there).equals(rows(here))


def test_requests_of_a_killed_worker_are_done_by_others(engine: Engine, store: str) -> None:
    Objects(store, create=True)
    requests = _requests(60)
    with MeteredEndpoint(key="sk-test", latency=0.05) as endpoint:
        job = job_for(Path("unused"), store, **metered(endpoint.url, max_in_flight=6))
        outcomes = []
        for outcome in engine.embed(job, requests):
            if outcome is WAITING:
                continue
            outcomes.append(outcome)
            if len(outcomes) == 10:
                os.kill(_worker_pids()[0], signal.SIGKILL)
        billed_again = sum(times - 1 for times in endpoint.ledger.billed_more_than_once().values())
    assert sorted(outcome.number for outcome in outcomes) == list(range(60))
    assert sum(outcome.texts for outcome in outcomes) == 240
    assert billed_again <= 6 * 4
    assert endpoint.ledger.max_in_flight <= 6


def test_a_refusal_on_a_worker_arrives_as_our_own_error(engine: Engine, store: str) -> None:
    Objects(store, create=True)
    with MeteredEndpoint(key="another key") as endpoint:
        job = job_for(Path("unused"), store, **metered(endpoint.url))
        with pytest.raises(ProviderRefused, match="refuses the key"):
            list(engine.embed(job, _requests(3)))


def test_a_poisonous_text_on_a_worker_is_rejected_alone(engine: Engine, store: str) -> None:
    Objects(store, create=True)
    requests = _requests(4)
    poison = requests[2].texts[1]
    with MeteredEndpoint(key="sk-test", faults=Faults(poison={poison})) as endpoint:
        outcomes = list(engine.embed(job_for(Path("unused"), store, **metered(endpoint.url)), requests))
    rejected = [text_hash for outcome in outcomes for text_hash, _ in outcome.rejected]
    assert rejected == [requests[2].hashes[1]]
    assert sum(outcome.texts for outcome in outcomes) == 15


def test_workers_with_a_model_of_their_own_make_the_same_table(engine: Engine, tmp_path: Path) -> None:
    folder, here, there = write_pages(tmp_path / "docs", _pages()), str(tmp_path / "a"), str(tmp_path / "b")
    space = identified(Space("onnx", str(onnx_folder(tmp_path / "small")), DIMENSIONS))
    form = {"space": space, "splitter": SplitterSpec(max_tokens=48), "endpoint": Endpoint(batch_inputs=16)}
    inline = run(job_for(folder, here, **form))
    spread = runs.ingest(job_for(folder, there, **form), lambda _: nullcontext(engine))
    assert spread.embedding == inline.embedding
    assert spread.embedding["requests"] > 4
    one, other = rows(here), rows(there)
    assert one.drop_columns(["vector"]).equals(other.drop_columns(["vector"]))
    for mine, others in zip(one["vector"].to_pylist(), other["vector"].to_pylist(), strict=True):
        assert mine == pytest.approx(others, abs=1e-5)


def test_steps_come_back_in_the_order_of_their_items(engine: Engine) -> None:
    assert list(engine.map(digest, ["b", "a", "c"])) == [digest("b"), digest("a"), digest("c")]
