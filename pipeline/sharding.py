"""Stages whose work can be large: whoever runs one may do it shard by shard, and show each."""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import update_wrapper
from typing import Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

Steps = Generator[int, None, T]
"""A stage's work: it gives the number of its shards, and stops after each of them but the last."""


@dataclass(slots=True)
class Shards:
    """A stage's work in shards of one size; tells which of them have ended."""

    total: int  # documents, texts, rows or fragments
    size: int  # of them, a shard
    _ended: int = field(default=0, init=False)

    @property
    def count(self) -> int:
        """How many there are; work that is nothing is one, too."""
        return max(1, -(-self.total // self.size))

    def passed(self, done: int) -> Iterator[int]:
        """The shards that have ended since it was asked before, with so much done; the last is not told."""
        upto = min(done // self.size, self.count - 1)
        while self._ended < upto:
            self._ended += 1
            yield self._ended

    def rest(self) -> Iterator[int]:
        """Those that are left when all is done, where some of the work turned out to be none."""
        yield from self.passed(self.total)


class Work(Generic[T]):
    """A stage under way: its shards are done one by one, in order. To be closed, however it ends."""

    result: T  # once the last shard is done

    def __init__(self, steps: Steps[T]) -> None:
        self._steps = steps
        self.shards = next(steps)

    def do_next(self) -> bool:
        """Do the next shard; says whether it was the last."""
        try:
            next(self._steps)
        except StopIteration as end:
            self.result = end.value
            return True
        return False

    def close(self) -> None:
        """Let the stage put in order what it leaves undone."""
        self._steps.close()


class Sharded(Generic[P, T]):
    """A stage that does all of its work when it is called, and lets a runner do it shard by shard."""

    def __init__(self, steps: Callable[P, Steps[T]]) -> None:
        self.steps = steps  # for a stage that this one is a part of
        self.__name__ = steps.__name__
        update_wrapper(self, steps)

    def begin(self, *args: P.args, **kwargs: P.kwargs) -> Work[T]:
        """Begin the work, to be done shard by shard."""
        return Work(self.steps(*args, **kwargs))

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Do all of it."""
        with closing(self.begin(*args, **kwargs)) as work:
            while not work.do_next():
                pass
            return work.result
