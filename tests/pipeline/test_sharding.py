"""Stages whose work is done shard by shard, or all at once."""

import pytest

from pipeline.sharding import Sharded, Shards, Steps


@Sharded
def counted(done: list[str], fails_at: int = 0) -> Steps[int]:
    """Do seven pieces of work, three a shard."""
    shards = Shards(7, 3)
    yield shards.count
    try:
        for number in range(1, 8):
            if number == fails_at:
                raise ValueError(number)
            done.append(str(number))
            yield from shards.passed(number)
        yield from shards.rest()
    finally:
        done.append("in order")
    return len(done)


def test_a_stage_does_all_of_its_work_when_it_is_called() -> None:
    done: list[str] = []
    assert counted(done) == 8
    assert done == [*"1234567", "in order"]
    assert counted.__name__ == "counted"
    assert counted.__doc__ == "Do seven pieces of work, three a shard."


def test_its_shards_are_done_one_by_one_and_the_last_brings_the_result() -> None:
    done: list[str] = []
    work = counted.begin(done)
    assert (work.shards, done) == (3, [])
    assert [work.do_next(), len(done)] == [False, 3]
    assert [work.do_next(), len(done)] == [False, 6]
    assert [work.do_next(), work.result] == [True, 8]


def test_work_that_is_closed_early_is_left_in_order_and_does_nothing_more() -> None:
    done: list[str] = []
    work = counted.begin(done)
    work.do_next()
    work.close()
    assert done == ["1", "2", "3", "in order"]


def test_a_failure_is_the_shard_s_own() -> None:
    done: list[str] = []
    work = counted.begin(done, fails_at=5)
    work.do_next()
    with pytest.raises(ValueError, match="5"):
        work.do_next()
    assert done == ["1", "2", "3", "4", "in order"]


@pytest.mark.parametrize(
    ("total", "count"), [(0, 1), (1, 1), (3, 1), (4, 2), (6, 2), (7, 3)], ids=lambda one: str(one)
)
def test_as_many_shards_end_as_there_are_however_the_work_comes(total: int, count: int) -> None:
    for steps in (1, 2, total or 1):
        shards = Shards(total, 3)
        ended = [one for done in range(0, total + 1, steps) for one in shards.passed(done)]
        assert shards.count == count
        assert [*ended, *shards.rest()] == list(range(1, count))
