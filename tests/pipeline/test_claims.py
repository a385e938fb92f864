"""Of two runs that want the same text, one claims it first; the other waits for it, and for no other."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import orjson
import pyarrow as pa
import pytest

from pipeline.claims import Claims
from pipeline.errors import OutOfTime
from pipeline.objects import Objects
from tests.endpoint.probe import Clock
from tests.support import OPENAI

ClaimsAt = Callable[[float], Claims]


@pytest.fixture
def objects(store: str) -> Objects:
    return Objects(store, create=True)


def _claims(objects: Objects, now: float = 1000.0) -> Claims:
    return Claims(objects, OPENAI, Clock(now), renewed=60.0)


def _hashes(*names: str) -> pa.Array:
    return pa.array(names, pa.string())


def _signs(store: str) -> list[Path]:
    return sorted(Path(store).glob("claims/*/*"))


def test_who_claims_later_finds_what_is_claimed_already_and_only_that(objects: Objects) -> None:
    with _claims(objects).held("first", _hashes("a", "b", "c")) as before_first:
        with (
            _claims(objects).held("second", _hashes("b", "x")) as before_second,
            _claims(objects).held("third", _hashes("x", "a", "y")) as before_third,
        ):
            assert before_first == []
            assert [claim.hashes.to_pylist() for claim in before_second] == [["b"]]
            assert [claim.hashes.to_pylist() for claim in before_third] == [["a"], ["x"]]
        with _claims(objects).held("fourth", _hashes("y", "z")) as before_fourth:
            assert before_fourth == []


def test_a_claim_is_gone_with_its_run_however_that_ends(objects: Objects, store: str) -> None:
    with pytest.raises(OutOfTime), _claims(objects).held("run", _hashes("a")):
        raise OutOfTime("the time limit is reached")
    assert _signs(store) == []


def test_waiting_ends_when_the_claim_does(objects: Objects) -> None:
    holder = _claims(objects).held("first", _hashes("a"))
    holder.__enter__()
    with _claims(objects).held("second", _hashes("a")) as before:
        pass
    looks: list[float] = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            holder.__exit__(None, None, None)

    _claims(objects).wait(before, lambda: None, sleep)
    assert len(looks) == 3


def test_whoever_waits_can_run_out_of_time(objects: Objects) -> None:
    def check() -> None:
        raise OutOfTime("the time limit is reached")

    with (
        _claims(objects).held("first", _hashes("a")),
        _claims(objects).held("second", _hashes("a")) as before,
        pytest.raises(OutOfTime),
    ):
        _claims(objects).wait(before, check, lambda _: None)


def _left_behind(objects: Objects, store: str, **changes: object) -> object:
    """The claim of a run that was killed; it ends properly with what is given."""
    holder = _claims(objects).held("killed", _hashes("a"))
    holder.__enter__()
    sign = {"run_id": "killed", "host": socket.gethostname(), "pid": os.getpid(), "at": 1000.0, **changes}
    _signs(store)[0].with_suffix(".json").write_bytes(orjson.dumps(sign))
    return holder


@pytest.mark.parametrize(
    ("changes", "now", "holds"),
    [
        ({}, 1100.0, True),
        ({}, 1121.0, False),  # that process's number is another's now, or it hangs
        ({"pid": 2**22 + 1}, 1001.0, False),
        ({"host": "another", "pid": 2**22 + 1}, 1100.0, True),
        ({"host": "another", "pid": 2**22 + 1}, 1121.0, False),
    ],
)
def test_the_claim_of_a_run_that_was_killed_holds_nobody_up(
    objects: Objects, store: str, changes: dict[str, object], now: float, holds: bool
) -> None:
    killed = _left_behind(objects, store, **changes)
    with _claims(objects, now).held("next", _hashes("a")) as before:
        assert bool(before) == holds
    assert bool(_signs(store)) == holds
    del killed
