"""Files and batches keep OpenAI's protocol, bill half, and come to what the time and the faults say."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import openai
import orjson
import pytest
from openai.types import Batch

from tests.endpoint import BatchRules, Calls, Faults, MeteredEndpoint
from tests.endpoint.probe import MODEL, Clock, decoded, post, sdk


@dataclass(frozen=True, slots=True)
class Service:
    """An endpoint, its clock, and the real client."""

    endpoint: MeteredEndpoint
    clock: Clock
    client: openai.OpenAI

    def upload(self, lines: Sequence[object]) -> str:
        data = b"".join(orjson.dumps(line) + b"\n" for line in lines)
        return self.client.files.create(file=("in.jsonl", data), purpose="batch").id

    def create(self, lines: Sequence[object], **metadata: str) -> Batch:
        return self.client.batches.create(
            input_file_id=self.upload(lines),
            endpoint="/v1/embeddings",
            completion_window="24h",
            metadata=metadata,
        )

    def after(self, seconds: float, batch: Batch) -> Batch:
        self.clock.now += seconds
        return self.client.batches.retrieve(batch.id)

    def read(self, file_id: str | None) -> list[dict[str, Any]]:
        assert file_id
        return [orjson.loads(line) for line in self.client.files.content(file_id).content.splitlines()]


@contextmanager
def _service(**rules: Any) -> Iterator[Service]:
    clock = Clock(1_000_000.0)
    endpoint = MeteredEndpoint(
        key="sk-test", count="characters", batch_rules=BatchRules(now=clock, **{"seconds": 100.0, **rules})
    )
    with endpoint, sdk(endpoint) as client:
        yield Service(endpoint, clock, client)


def _line(custom_id: str, texts: Sequence[str], **changes: Any) -> dict[str, Any]:
    body = {"model": MODEL, "input": list(texts), "dimensions": 8, "encoding_format": "base64"}
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/embeddings", "body": body, **changes}


_LINES = [_line(f"r{n}", [f"text {n}", f"文章{n}"]) for n in range(4)]


def test_a_batch_goes_from_validating_to_completed_as_time_passes_and_bills_half() -> None:
    with _service() as service:
        batch = service.create(_LINES, key="mine")
        seen = [batch, *(service.after(seconds, batch) for seconds in (11, 40, 40, 10))]
        outputs = service.read(seen[-1].output_file_id)
        direct = {n: post(service.endpoint.url, [f"text {n}"], "sk-test", dimensions=8) for n in range(4)}
    assert [one.status for one in seen] == [
        "validating",
        "in_progress",
        "in_progress",
        "finalizing",
        "completed",
    ]
    assert [one.request_counts.completed for one in seen if one.request_counts] == [0, 0, 2, 4, 4]
    assert (seen[-1].metadata, seen[-1].error_file_id) == ({"key": "mine"}, None)
    assert sorted(line["custom_id"] for line in outputs) == ["r0", "r1", "r2", "r3"]
    assert [line["custom_id"] for line in outputs] != ["r0", "r1", "r2", "r3"]
    for line in outputs:
        assert (line["error"], line["response"]["status_code"]) == (None, 200)
        vector = decoded(line["response"]["body"]["data"][0]["embedding"])
        assert (vector == direct[int(line["custom_id"][1:])].vectors[0]).all()
    bill = service.endpoint.ledger
    assert bill.batch_tokens_billed == sum(len(f"text {n}文章{n}") for n in range(4)) == 36
    assert bill.tokens_billed == 36 + 4 * 6
    assert bill.usd(2.0) == pytest.approx((36 / 2 + 24) * 2 / 1e6)


def test_what_is_not_done_when_the_window_closes_expires_and_the_rest_is_delivered_and_billed() -> None:
    with _service(seconds=200.0, window=100.0) as service:
        batch = service.after(100, service.create(_LINES))
        outputs, errors = service.read(batch.output_file_id), service.read(batch.error_file_id)
    assert batch.status == "expired"
    assert {line["custom_id"] for line in outputs} == {"r0", "r1"}
    assert [(line["response"], line["error"]["code"]) for line in errors] == [(None, "batch_expired")] * 2
    assert {line["custom_id"] for line in errors} == {"r2", "r3"}
    assert service.endpoint.ledger.texts_billed == 4


def test_a_cancelled_batch_delivers_what_it_had_done() -> None:
    with _service() as service:
        batch = service.after(51, service.create(_LINES))
        assert service.client.batches.cancel(batch.id).status == "cancelling"
        batch = service.after(1, batch)
        assert (batch.status, len(service.read(batch.output_file_id))) == ("cancelled", 2)
        with pytest.raises(openai.ConflictError):
            service.client.batches.cancel(batch.id)


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([], "empty_file"),
        (["no object"], "invalid_request"),
        ([_line("a", ["x"]), _line("a", ["y"])], "duplicate_custom_id"),
        ([_line("a", ["x"], method="GET")], "invalid_method"),
        ([_line("a", ["x"], url="/v1/responses")], "invalid_url"),
        ([_line("", ["x"])], "missing_required_parameter"),
        ([_line("a", ["x"]), _line("b", ["x"], body={"model": "other", "input": "x"})], "mismatched_model"),
        ([_line(str(n), ["x"]) for n in range(4)], "too_many_tasks"),
        ([_line("a", ["x"] * 6)], "too_many_inputs"),
    ],
)
def test_a_batch_with_a_faulty_file_fails_and_says_why(lines: list[object], code: str) -> None:
    with _service(requests=3, inputs=5) as service:
        batch = service.after(100, service.create(lines))
    assert (batch.status, batch.output_file_id) == ("failed", None)
    assert batch.errors is not None
    assert batch.errors.data is not None
    assert [problem.code for problem in batch.errors.data] == [code]
    assert service.endpoint.ledger.texts_billed == 0


def test_the_queue_takes_no_batch_beyond_its_tokens_until_an_earlier_one_has_ended() -> None:
    with _service(enqueued_tokens=40) as service:
        first, second = service.create(_LINES), service.create([_line("more", ["12345"])])
        assert service.after(20, second).status == "failed"
        assert service.after(80, first).status == "completed"
        assert service.after(100, service.create([_line("more", ["12345"])])).status == "completed"


def test_lines_meet_the_faults_that_requests_meet() -> None:
    faults = Faults(
        ["server_error", "garbage", "nan", "reset_after_billing", "short"], poison_marker="bad egg"
    )
    lines = [_line(f"r{n}", [f"text {n}"]) for n in range(5)] + [_line("egg", ["a bad egg"])]
    with _service(lines=faults) as service:
        batch = service.after(100, service.create(lines))
        errors = service.read(batch.error_file_id)
        raw = service.client.files.content(batch.output_file_id or "").content.splitlines()
    assert {line["custom_id"]: line["response"]["status_code"] for line in errors} == {"r0": 500, "egg": 400}
    good, broken = list[dict[str, Any]](), 0
    for line in raw:
        try:
            good.append(orjson.loads(line))
        except orjson.JSONDecodeError:
            broken += 1
    data = {line["custom_id"]: line["response"]["body"]["data"] for line in good}
    assert (broken, set(data), data["r4"]) == (1, {"r2", "r4"}, [])
    assert any(number != number for number in decoded(data["r2"][0]["embedding"]))
    assert service.endpoint.ledger.texts_billed == 4


def test_calls_fail_as_their_script_says_and_a_lost_answer_has_done_its_work() -> None:
    calls = Calls(upload=["server_error"], create=["reset", "lost"])
    with _service(calls=calls) as service:
        with pytest.raises(openai.InternalServerError):
            service.upload(_LINES)
        for _ in range(2):
            with pytest.raises(openai.APIConnectionError):
                service.create(_LINES, key="mine")
        [found] = service.client.batches.list()
    assert found.metadata == {"key": "mine"}
    assert (calls.seen["upload"], calls.seen["create"]) == (3, 2)


def test_the_list_has_pages_newest_first() -> None:
    with _service() as service:
        made = [service.create(_LINES).id for _ in range(5)]
        pages = [page.data for page in service.client.batches.list(limit=2).iter_pages()]
        assert [[batch.id for batch in page] for page in pages] == [
            [made[4], made[3]],
            [made[2], made[1]],
            [made[0]],
        ]


def test_a_file_can_be_looked_up_fetched_and_deleted_and_only_batches_are_a_purpose() -> None:
    with _service(file_bytes=1000) as service:
        kept = service.upload([_line("a", ["x"])])
        assert service.client.files.retrieve(kept).purpose == "batch"
        assert service.read(kept) == [_line("a", ["x"])]
        assert [file.id for file in service.client.files.list()] == [kept]
        service.client.files.delete(kept)
        with pytest.raises(openai.NotFoundError):
            service.client.files.content(kept)
        with pytest.raises(openai.BadRequestError):
            service.client.files.create(file=("x", b"x"), purpose="assistants")
        with pytest.raises(openai.APIStatusError) as caught:
            service.client.files.create(file=("x", b"x" * 1001), purpose="batch")
    assert caught.value.status_code == 413


def test_an_endpoint_may_have_no_batches_and_asks_for_its_key() -> None:
    with _service(served=False) as service, pytest.raises(openai.NotFoundError):
        service.client.batches.list()
    with (
        _service() as service,
        sdk(service.endpoint, "sk-other") as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.batches.list()
