"""Each fault happens when it is told to, looks as the table says and bills as the table says."""

import asyncio
import errno
import json
import re
from collections import Counter

import aiohttp
import numpy as np
import openai
import pytest

from tests.endpoint import Fault, Faults, MeteredEndpoint, faults
from tests.endpoint.probe import MODEL, Gate, embed, post, sdk, send


def test_the_table_of_faults_is_complete_and_true_of_what_is_billed() -> None:
    rows = dict(re.findall(r"^\| (\w+) +\| (yes|no) ", faults.__doc__ or "", re.MULTILINE))
    assert rows == {**{fault.value: "yes" if fault.bills else "no" for fault in Fault}, "poison": "no"}

    async def meet(endpoint: MeteredEndpoint, gate: Gate, fault: Fault) -> None:
        pending = asyncio.create_task(embed(endpoint.url, "x"))
        if fault is not Fault.INSUFFICIENT_QUOTA:
            await gate.reached()
        if fault is not Fault.HANG:
            await asyncio.gather(pending, return_exceptions=True)

    for fault in Fault:
        gate = Gate()
        with MeteredEndpoint(faults=Faults([fault]), latency=1, sleep=gate, count="characters") as endpoint:
            asyncio.run(meet(endpoint, gate, fault))
        assert endpoint.ledger.billed("x") == fault.bills, fault


def test_a_server_error_answers_500_502_503_in_turn_or_as_configured() -> None:
    script = ["server_error"] * 4
    with MeteredEndpoint(faults=Faults(script), count="characters") as endpoint, sdk(endpoint) as client:
        assert [post(endpoint.url, "x").status for _ in range(3)] == [500, 502, 503]
        endpoint.faults = Faults(script, statuses=[503])
        with pytest.raises(openai.InternalServerError) as caught:
            client.embeddings.create(model=MODEL, input="x")
    assert (caught.value.status_code, caught.value.type) == (503, "server_error")


@pytest.mark.parametrize("fault", [Fault.RESET_BEFORE_BILLING, Fault.RESET_AFTER_BILLING])
def test_a_reset_breaks_the_connection_and_the_next_request_goes_well(fault: Fault) -> None:
    with MeteredEndpoint(faults=Faults([fault, fault]), count="characters") as endpoint:
        with pytest.raises(aiohttp.ClientOSError) as reset:
            post(endpoint.url, "x")
        with sdk(endpoint) as client, pytest.raises(openai.APIConnectionError):
            client.embeddings.create(model=MODEL, input="x")
        assert post(endpoint.url, "x").status == 200
    assert reset.value.errno == errno.ECONNRESET


def test_a_hang_lets_others_through_and_ends_when_the_server_stops() -> None:
    async def scenario() -> None:
        gate = Gate()
        with MeteredEndpoint(faults=Faults(["hang"]), latency=1, sleep=gate, count="characters") as endpoint:
            hung = asyncio.create_task(embed(endpoint.url, "hung"))
            await gate.reached()
            assert (await embed(endpoint.url, "other")).status == 200
            assert not hung.done()
        with pytest.raises(aiohttp.ClientError):
            await hung

    asyncio.run(scenario())


def test_a_hang_ends_when_the_client_goes_away() -> None:
    async def scenario() -> None:
        hung = asyncio.create_task(embed(endpoint.url, "hung"))
        await gate.reached()
        hung.cancel()
        await asyncio.wait([hung])
        # After a reset the maximum is what is in flight now; the end takes a few turns of the server's loop.
        for _ in range(1000):
            endpoint.ledger.reset()
            if endpoint.ledger.max_in_flight == 0:
                return
            await send("GET", endpoint.url)
        pytest.fail("the request still hangs, though its client has gone")

    gate = Gate()
    with MeteredEndpoint(faults=Faults(["hang"]), latency=1, sleep=gate, count="characters") as endpoint:
        asyncio.run(scenario())


def test_spoilt_answers_are_spoilt_as_the_table_says() -> None:
    texts = ["a", "b", "c"]
    with MeteredEndpoint(count="characters") as endpoint:
        for form in ("base64", "float"):
            right = post(endpoint.url, texts, encoding_format=form).vectors
            endpoint.faults.then("garbage", "short", "long", "nan", "shuffled")
            garbage, short, long, nan, shuffled = (
                post(endpoint.url, texts, encoding_format=form) for _ in range(5)
            )
            with pytest.raises(json.JSONDecodeError):
                garbage.json  # noqa: B018
            assert {reply.status for reply in (garbage, short, long, nan, shuffled)} == {200}
            assert (len(short.vectors), len(long.vectors), np.isnan(nan.vectors).sum()) == (2, 4, 1)
            assert [entry["index"] for entry in shuffled.json["data"]] == [2, 1, 0]
            assert (shuffled.vectors == right).all()


def test_dimensions_and_encodings_can_be_disregarded() -> None:
    script = ["wrong_dimensions", "wrong_dimensions", "ignore_dimensions", "float_only"]
    with MeteredEndpoint(faults=Faults(script), count="characters") as endpoint:
        replies = [
            post(endpoint.url, ["a", "b"], dimensions=size, encoding_format="base64") for size in (8, 1, 8, 8)
        ]
    assert [reply.vectors.shape for reply in replies] == [(2, 7), (2, 2), (2, 1536), (2, 8)]
    kinds = [type(reply.json["data"][0]["embedding"]) for reply in replies]
    assert kinds == [str, str, str, list]


def test_a_script_comes_first_then_chance_repeats_itself_from_its_seed() -> None:
    def drawn(seed: int) -> list[Fault | None]:
        chance = Faults(["hang", None], rates={"nan": 0.25, "short": 0.5}, seed=seed)
        return [chance.draw() for _ in range(2002)]

    assert drawn(7) == drawn(7) != drawn(8)
    assert drawn(7)[:2] == [Fault.HANG, None]
    shares = {fault: times / 2000 for fault, times in Counter(drawn(7)[2:]).items()}
    assert shares == pytest.approx({"nan": 0.25, "short": 0.5, None: 0.25}, abs=0.03)


def test_faults_that_do_not_exist_or_do_not_add_up_are_refused() -> None:
    with pytest.raises(ValueError, match="'tired' is not a fault; the faults are server_error, "):
        Faults(["tired"])
    with pytest.raises(ValueError, match="their sum as well"):
        Faults(rates={"nan": 0.6, "hang": 0.6})


@pytest.mark.parametrize("known", [Faults(poison=["bad egg"]), Faults(poison_marker="egg")])
def test_a_poisoned_request_is_a_400_that_does_not_name_the_input(known: Faults) -> None:
    with MeteredEndpoint(faults=known, count="characters") as endpoint:
        replies = [post(endpoint.url, texts) for texts in (["good", "bad egg"], ["good"])]
    assert [reply.status for reply in replies] == [400, 200]
    assert "egg" not in replies[0].error["message"]
    assert (replies[0].error["param"], endpoint.ledger.requests) == (None, 1)
