"""A window of requests grows while all goes well, is halved when it does not, and is never passed."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.concurrency import Window


def test_it_doubles_until_something_goes_wrong_and_then_grows_by_one_in_the_time_of_an_answer() -> None:
    window = Window(64)
    for _ in range(8):
        window.grow()
    assert window.size == 16
    window.shrink()
    assert window.size == 8
    for _ in range(8):
        window.grow()
    assert window.size == pytest.approx(9, abs=0.1)


def test_all_that_were_on_their_way_when_it_shrank_count_as_one() -> None:
    window = Window(64)
    for _ in range(8):
        window.shrink()
    assert window.size == 4


@given(st.lists(st.booleans()), st.integers(1, 99))
def test_it_lies_between_one_and_the_most_allowed(events: list[bool], most: int) -> None:
    window = Window(most)
    for well in events:
        window.grow() if well else window.shrink()
        assert 1 <= window.size <= most


@given(st.lists(st.sampled_from(["answer", "overload", "give up"]), max_size=60), st.integers(1, 12))
def test_never_are_more_under_way_than_it_allows_and_nobody_is_forgotten(
    events: list[str], most: int
) -> None:
    async def scenario() -> None:
        window, inside = Window(most), 0

        async def work(gate: asyncio.Event) -> None:
            nonlocal inside
            await window.enter()
            inside += 1
            try:
                await gate.wait()
            finally:
                inside -= 1
                window.leave()

        gates = [asyncio.Event() for _ in range(30)]
        tasks = [asyncio.ensure_future(work(gate)) for gate in gates]
        allowed = 30
        for number, event in enumerate(events):
            await asyncio.sleep(0)
            allowed = max(int(window.size), inside)
            if event == "give up":
                tasks[(number * 7) % 30].cancel()
            else:
                gates[number % 30].set()
                window.grow() if event == "answer" else window.shrink()
            for _ in range(3):
                await asyncio.sleep(0)
            assert inside <= max(allowed, int(window.size))
        for gate in gates:
            gate.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert inside == 0
        await asyncio.wait_for(window.enter(), 5)

    asyncio.run(scenario())
