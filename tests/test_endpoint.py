"""The metered endpoint keeps OpenAI's protocol, bills exactly and leaves nothing behind when it stops."""

import asyncio
import subprocess
import sys
import threading
from hashlib import sha256
from pathlib import Path

import numpy as np
import openai
import pytest

from tests.endpoint import Bounds, Charge, MeteredEndpoint
from tests.endpoint.probe import MODEL, Gate, embed, post, post_all, sdk, send

# ---- the protocol


def test_the_sdk_gets_one_normalised_vector_a_text_in_the_order_of_the_texts() -> None:
    with MeteredEndpoint(key="sk-test") as endpoint, sdk(endpoint) as client:
        answer = client.embeddings.create(model=MODEL, input=["one", "two words", "one"])
    assert (answer.object, answer.model) == ("list", MODEL)
    assert [(entry.object, entry.index) for entry in answer.data] == [("embedding", i) for i in range(3)]
    rows = np.array([entry.embedding for entry in answer.data])
    assert rows.shape == (3, 1536)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    assert (rows[0] == rows[2]).all()
    assert (rows[0] != rows[1]).any()
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == 4


def test_equal_texts_get_equal_vectors_from_another_server_and_different_ones_from_another_model() -> None:
    with MeteredEndpoint() as first, MeteredEndpoint() as second:
        rows = [post(endpoint.url, "tide").vectors for endpoint in (first, second)]
        other = post(first.url, "tide", model="unheard-of").vectors
    assert (rows[0] == rows[1]).all()
    assert other.shape == (1, 1536)
    assert (rows[0] != other).any()


def test_base64_and_floats_carry_the_same_float32_numbers() -> None:
    with MeteredEndpoint() as endpoint:
        replies = [post(endpoint.url, ["a", "b"], encoding_format=form) for form in ("base64", "float")]
    assert [type(reply.json["data"][0]["embedding"]) for reply in replies] == [str, list]
    assert (replies[0].vectors == replies[1].vectors).all()


@pytest.mark.parametrize(("model", "native"), [(MODEL, 1536), ("text-embedding-3-large", 3072)])
def test_fewer_dimensions_are_the_head_of_the_full_vector_normalised_again(model: str, native: int) -> None:
    with MeteredEndpoint() as endpoint:
        full, head = (
            post(endpoint.url, "x", model=model, dimensions=size).vectors[0] for size in (None, 256)
        )
    assert full.shape == (native,)
    assert np.allclose(head, full[:256] / np.linalg.norm(full[:256]), atol=1e-6)


@pytest.mark.parametrize(
    ("payload", "param"),
    [
        (b"{not json", None),
        ([], None),
        ({"input": "x"}, "model"),
        ({"model": MODEL}, "input"),
        ({"model": MODEL, "input": ""}, "input"),
        ({"model": MODEL, "input": []}, "input"),
        ({"model": MODEL, "input": ["x", ""]}, "input"),
        ({"model": MODEL, "input": [[1, 2]]}, "input"),
        ({"model": MODEL, "input": "x", "encoding_format": "hex"}, "encoding_format"),
        ({"model": MODEL, "input": "x", "dimensions": 0}, "dimensions"),
        ({"model": MODEL, "input": "x", "dimensions": 1537}, "dimensions"),
        ({"model": MODEL, "input": "x", "dimensions": True}, "dimensions"),
    ],
)
def test_a_malformed_request_is_a_400_that_bills_nothing(payload: object, param: str | None) -> None:
    with MeteredEndpoint(count="characters") as endpoint:
        reply = asyncio.run(send("POST", f"{endpoint.url}/embeddings", payload))
    assert (reply.status, reply.error["type"], reply.error["param"]) == (400, "invalid_request_error", param)
    assert (endpoint.ledger.arrived, endpoint.ledger.requests) == (1, 0)


@pytest.mark.parametrize(
    ("bounds", "code"),
    [
        (Bounds(inputs=2), "array_above_max_length"),
        (Bounds(input_tokens=3), None),
        (Bounds(request_tokens=8), "max_tokens_per_request"),
    ],
)
def test_a_request_past_a_bound_is_a_400_and_one_within_is_not(bounds: Bounds, code: str | None) -> None:
    with MeteredEndpoint(bounds=bounds, count="characters") as endpoint:
        replies = [post(endpoint.url, texts) for texts in (["abc", "abc"], ["abcd", "abc", "ab"])]
    assert [reply.status for reply in replies] == [200, 400]
    assert (replies[1].error["type"], replies[1].error["code"]) == ("invalid_request_error", code)


def test_the_default_bounds_are_those_of_the_service() -> None:
    edges = [["x"] * 2048, ["x"] * 2049, " x" * 8192, " x" * 8193, [" x" * 8000] * 37, [" x" * 8000] * 38]
    beyond_the_tokenizer = [" x" * 250_000, " x" * 600_000]
    with MeteredEndpoint() as endpoint:
        statuses = [post(endpoint.url, texts, dimensions=1).status for texts in edges + beyond_the_tokenizer]
    assert statuses == [200, 400, 200, 400, 200, 400, 400, 400]


def test_a_wrong_or_missing_key_is_a_401_that_echoes_the_key_half_masked() -> None:
    wrong = "sk-wrong-0123456789-abcdefgh"
    with MeteredEndpoint(key="sk-test") as endpoint:
        with sdk(endpoint, wrong) as client, pytest.raises(openai.AuthenticationError) as caught:
            client.embeddings.create(model=MODEL, input="x")
        replies = [post(endpoint.url, "x", key) for key in (None, "sk-test")]
    assert caught.value.code == replies[0].error["code"] == "invalid_api_key"
    assert "sk-wron" + "*" * 17 + "efgh" in caught.value.message
    assert ([reply.status for reply in replies], endpoint.ledger.requests) == ([401, 200], 1)


# ---- the bill


def test_tokens_are_counted_as_cl100k_counts_ordinary_text() -> None:
    with MeteredEndpoint() as endpoint:
        usage = post(endpoint.url, ["hello world", "<|endoftext|>"]).json["usage"]
    assert [charge.tokens for charge in endpoint.ledger.charges] == [2, 7]
    assert usage == {"prompt_tokens": 9, "total_tokens": 9}


def test_the_ledger_bills_text_by_text_and_knows_what_was_paid_twice() -> None:
    with MeteredEndpoint(count="characters") as endpoint:
        for texts in (["ab", "c"], "ab"):
            post(endpoint.url, texts)
    ledger = endpoint.ledger
    assert ledger.charges == (Charge("ab", 2, 1), Charge("c", 1, 1), Charge("ab", 2, 2))
    assert (ledger.requests, ledger.texts_billed, ledger.tokens_billed) == (2, 3, 5)
    assert [ledger.billed(text) for text in ("ab", "c", "never")] == [2, 1, 0]
    assert ledger.billed_more_than_once() == {"ab": 2}
    ledger.reset()
    assert not any([len(ledger.charges), *ledger.summary().values()])


def test_another_process_reads_and_resets_the_ledger_over_http() -> None:
    with MeteredEndpoint(count="characters", rpm=3) as endpoint:
        for text in ("ab", "ab", "c", "d"):
            post(endpoint.url, text)
        url = endpoint.url.removesuffix("/v1") + "/ledger"
        summary = asyncio.run(send("GET", url)).json
        assert asyncio.run(send("POST", f"{url}/reset")).status == 204
    counts = {"requests": 3, "arrived": 4, "rejected_429": 1, "max_in_flight": 1, "texts": 3, "tokens": 5}
    assert summary == {**counts, "batch_tokens": 0, "repeated": {sha256(b"ab").hexdigest(): 2}}
    assert endpoint.ledger.texts_billed == 0


def test_the_latency_holds_each_request_and_the_ledger_sees_how_many_are_in_flight() -> None:
    gate = Gate(wanted=5)
    with MeteredEndpoint(latency=0.25, sleep=gate, count="characters") as endpoint:
        assert [reply.status for reply in post_all(endpoint.url, "abcde")] == [200] * 5
    assert gate.asked == [0.25] * 5
    assert endpoint.ledger.max_in_flight == 5


def test_a_client_that_hangs_up_during_the_work_is_billed_all_the_same() -> None:
    async def scenario() -> None:
        lost = asyncio.create_task(embed(endpoint.url, "lost"))
        await gate.reached()
        lost.cancel()
        await asyncio.wait([lost])
        assert (await embed(endpoint.url, "kept")).status == 200

    gate = Gate(wanted=2)
    with MeteredEndpoint(latency=1, sleep=gate, count="characters") as endpoint:
        asyncio.run(scenario())
    assert [endpoint.ledger.billed(text) for text in ("lost", "kept")] == [1, 1]


# ---- the life of a server


def test_leaving_the_block_leaves_no_thread_and_it_can_be_entered_again() -> None:
    endpoint = MeteredEndpoint(count="characters")
    for _ in range(2):
        with endpoint:
            assert endpoint.url.endswith("/v1")
            assert post(endpoint.url, "x").status == 200
            with pytest.raises(RuntimeError, match="already runs"):
                endpoint.__enter__()
        assert "metered-endpoint" not in {thread.name for thread in threading.enumerate()}
        with pytest.raises(RuntimeError, match="not running"):
            _ = endpoint.url


def test_a_port_that_is_taken_and_a_limit_of_nothing_are_refused_at_once() -> None:
    with MeteredEndpoint(count="characters") as endpoint:
        port = int(endpoint.url.split(":")[2].split("/")[0])
        with pytest.raises(OSError, match="address already in use"), MeteredEndpoint(port=port):
            pass
    with pytest.raises(ValueError, match="rpm is 0"):
        MeteredEndpoint(rpm=0)


def test_from_a_shell_it_prints_its_url_and_serves_until_sigterm() -> None:
    options = [
        "--port",
        "0",
        "--rpm",
        "1",
        "--tpm",
        "90",
        "--key",
        "k",
        "--latency",
        "0.001",
        "--count",
        "characters",
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.endpoint", *options, "--fault", "nan=1"],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    replies = [post(url, "x", "k") for _ in range(2)]
    process.terminate()
    assert process.communicate(timeout=30) == ("", "")
    assert ([reply.status for reply in replies], process.returncode) == ([200, 429], 0)
    assert np.isnan(replies[0].vectors).any()
