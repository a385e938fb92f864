"""A run's time limit."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.errors import OutOfTime


@dataclass(frozen=True, slots=True)
class Deadline:
    """The moment from which a run sends nothing more."""

    seconds: float | None  # from the run's start; None where it may take as long as it takes
    clock: Callable[[], float]  # seconds
    started: float  # by the clock

    @classmethod
    def after(cls, seconds: float | None, clock: Callable[[], float] = time.monotonic) -> "Deadline":
        """The deadline of a run that starts now."""
        return cls(seconds, clock, clock())

    @property
    def passed(self) -> float:
        """Seconds since the run's start."""
        return self.clock() - self.started

    def check(self, said: Callable[[], str]) -> None:
        """Raise OutOfTime where the time is over; `said` says what was spent until then."""
        if self.seconds is not None and self.passed >= self.seconds:
            raise OutOfTime(
                f"the time limit of {self.seconds:g} s is reached: {said()}. Nothing was published, what was "
                "paid is kept; run the same command again to go on, or raise --time-limit"
            )
