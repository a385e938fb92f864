"""Orders outlive the process that wrote them, and say whether it is still there."""

import os
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.batch import orders as module
from pipeline.batch.orders import ABANDONED_SECONDS, Line, Order, Orders
from pipeline.objects import Objects
from tests.support import OPENAI

_URL = "http://127.0.0.1:1/v1"


def _orders(store: str, url: str | None = _URL) -> Orders:
    return Orders(Objects(store, create=True), OPENAI, url)


def _order(key: str = "key", at: float = 1000.0, url: str | None = _URL) -> Order:
    return Order(key, "run-1", url, 7, 0.0).stepped(at)


_TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)


@given(st.lists(st.lists(_TEXT, min_size=1, max_size=4), min_size=1, max_size=5))
@settings(max_examples=25)
def test_an_order_and_its_texts_come_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, texts: list[list[str]]
) -> None:
    lines = [
        Line(number, tuple(group), tuple(f"{number}-{n}" for n in range(len(group))), number + 5)
        for number, group in enumerate(texts)
    ]
    orders, order = _orders(str(tmp_path_factory.mktemp("store"))), _order()
    orders.write(order, lines)
    assert orders.open() == [order]
    assert list(orders.lines(order)) == lines


def test_open_orders_are_of_one_endpoint_oldest_first_until_they_are_closed(store: str) -> None:
    orders = _orders(store)
    old, young, other = _order("b", 1.0), _order("a", 2.0), _order("c", url=None)
    for order in (young, old, other):
        orders.write(order, [Line(0, ("x",), ("h",), 1)])
    assert orders.open() == [old, young]
    assert _orders(store, None).open() == [other]
    stepped = young.stepped(3.0, batch_id="batch_1")
    orders.save(stepped)
    assert orders.again(young) == stepped
    for order in (old, young, other):
        orders.close(order)
    assert (orders.open(), orders.again(young), Objects(store).paths("batches")) == ([], None, [])


def test_an_order_whose_texts_were_never_written_has_none(store: str) -> None:
    orders = _orders(store)
    orders.save(_order())
    assert list(orders.lines(_order())) == []


def test_an_order_is_abandoned_when_its_process_its_run_or_its_time_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mine = _order(at=1000.0)
    assert mine.pid == os.getpid()
    assert mine.abandoned(1001.0, "another")  # no run of this process goes on with it
    monkeypatch.setattr(module, "RUNNING", {"run-1"})
    assert not mine.abandoned(1001.0, "another")
    assert mine.abandoned(1001.0, "run-1")  # the same run begins anew
    assert mine.abandoned(1001.0 + ABANDONED_SECONDS, "another")
    anothers = replace(mine, pid=os.getppid())
    assert not anothers.abandoned(1001.0, "another")
    assert replace(mine, pid=2**22 + 1).abandoned(1001.0, "another")
    assert not replace(mine, pid=2**22 + 1, host="elsewhere").abandoned(1001.0, "another")
