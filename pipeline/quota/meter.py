"""One budget a minute: paced steadily, and never passed in any minute whatever is taken from it."""

import math
from collections.abc import Iterable
from itertools import islice

WINDOW = 60.0  # seconds over which the provider counts
# Spending is remembered in slots: a minute is told to this precision, and always from the safe side.
_SLOT = 0.05  # seconds
# What nobody takes gathers for so long: who comes late to its turn has lost nothing.
GATHERS = 1.0  # seconds


class Meter:
    """Requests or tokens a minute; times are seconds of one monotonic clock.

    It is a token bucket that can go into debt, so that a large amount waits only for what is spent
    already, and over it a sliding window, which keeps each minute's sum within the budget.
    """

    def __init__(self, per_minute: float, now: float, *, used: bool = False) -> None:
        """A budget; `used` takes the minute before as used to the full, evenly: nobody remembers it."""
        self.per_minute = per_minute
        self._level = 0.0
        self._at = now  # when the level was true
        self._slots: dict[int, float] = {}  # spent, by slot, in order
        self._sum = 0.0
        if used:
            number = math.floor(now / _SLOT)
            for slot in range(number - round(WINDOW / _SLOT), number):
                self._add(slot, per_minute * _SLOT / WINDOW)

    @property
    def capacity(self) -> float:
        """The most that gathers unused."""
        return self.per_minute * GATHERS / WINDOW

    def resize(self, per_minute: float) -> None:
        """Change the budget; what was spent stays spent."""
        self.per_minute = per_minute
        self._level = min(self._level, self.capacity)

    def wait(self, amount: float, now: float) -> float:
        """Seconds until an amount may be spent."""
        level, at = self._refilled(now)
        paced = max(0.0, -level) * WINDOW / self.per_minute + at - now
        return max(paced, self._window_wait(amount, now))

    def spend(self, amount: float, when: float) -> None:
        """Spend an amount at a time, not before what was spent last; a negative one gives back."""
        level, at = self._refilled(when)
        self._level, self._at = min(self.capacity, level - amount), at
        self._add(math.floor(when / _SLOT), amount)
        self._forget(when)

    def cap(self, remaining: float, now: float) -> None:
        """Believe the provider that no more than this is left now."""
        level, at = self._refilled(now)
        self._level, self._at = min(level, remaining), at

    def spent(self, now: float) -> float:
        """What was spent in the minute before."""
        self._forget(now)
        return self._sum

    def state(self) -> list[object]:
        """All of it, for JSON; `of` reads it back."""
        return [self.per_minute, self._level, self._at, list(self._slots), list(self._slots.values())]

    @classmethod
    def of(cls, state: Iterable[object]) -> "Meter":
        """The meter with a state."""
        per_minute, level, at, slots, amounts = state
        made = cls(per_minute, at)  # type: ignore[arg-type]
        made._level = level  # type: ignore[assignment]
        made._slots = dict(zip(slots, amounts, strict=True))  # type: ignore[call-overload]
        made._sum = sum(made._slots.values())
        return made

    def _refilled(self, now: float) -> tuple[float, float]:
        """The level at a time, and that time; what is ahead of it is not undone."""
        passed = now - self._at
        if passed <= 0:
            return self._level, self._at
        return min(self.capacity, self._level + self.per_minute * passed / WINDOW), now

    def _window_wait(self, amount: float, now: float) -> float:
        """Seconds until enough of the last minute's spending is past.

        An amount beyond the whole budget waits until nothing is left of it: it passes alone, or never.
        """
        self._forget(now)
        excess = self._sum + amount - self.per_minute
        if excess <= 1e-9 or not self._slots:
            return 0.0
        for slot, spent in self._slots.items():
            excess -= spent
            if excess <= 1e-9:
                return (slot + 1) * _SLOT + WINDOW - now
        return (next(reversed(self._slots)) + 1) * _SLOT + WINDOW - now

    def _add(self, slot: int, amount: float) -> None:
        last = next(reversed(self._slots), slot)
        slot = max(slot, last)  # later is safer, and keeps the order
        self._slots[slot] = self._slots.get(slot, 0.0) + amount
        self._sum += amount

    def _forget(self, now: float) -> None:
        past = math.floor((now - WINDOW) / _SLOT + 1e-6) - 1
        gone = 0
        for slot in self._slots:
            if slot > past:
                break
            gone += 1
        for slot in list(islice(self._slots, gone)):
            self._sum -= self._slots.pop(slot)
        if not self._slots:
            self._sum = 0.0  # without what rounding has left
