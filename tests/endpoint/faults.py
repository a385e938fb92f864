"""What goes wrong on demand, and whether it is paid for all the same.

A fault befalls a request that would otherwise have been accepted: one that is malformed, unauthorised,
poisoned or over a limit uses up no entry of a script and rolls no die. `Fault.bills` is the second column.

| fault                | bills | what the client sees                                                      |
|----------------------|-------|---------------------------------------------------------------------------|
| server_error         | no    | 500, 502, 503 in turn, or the statuses configured                         |
| reset_before_billing | no    | the TCP connection is reset                                               |
| reset_after_billing  | yes   | the TCP connection is reset                                               |
| hang                 | yes   | nothing, until it goes away or the server stops                           |
| garbage              | yes   | 200 and a body that breaks off in the middle of the JSON                  |
| short                | yes   | the last embedding is missing                                             |
| long                 | yes   | one embedding too many, the last one again under the next index           |
| nan                  | yes   | one number of one vector is NaN, in base64 and as the literal NaN         |
| shuffled             | yes   | the entries in reverse order, each with its right index: nothing is wrong |
| wrong_dimensions     | yes   | every vector one number shorter than asked for (one longer if it was one) |
| ignore_dimensions    | yes   | every vector in the model's own length                                    |
| float_only           | yes   | lists of floats, though base64 was asked for                              |
| insufficient_quota   | no    | 429 that never heals: to this request and to all that follow              |
| poison               | no    | 400 that does not name the input; not scripted, it goes by the texts      |
"""

import random
import threading
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from itertools import cycle
from typing import NoReturn


class Fault(StrEnum):
    """One thing that can go wrong; the table is at the top of this module."""

    SERVER_ERROR = "server_error"
    RESET_BEFORE_BILLING = "reset_before_billing"
    RESET_AFTER_BILLING = "reset_after_billing"
    HANG = "hang"
    GARBAGE = "garbage"
    SHORT = "short"
    LONG = "long"
    NAN = "nan"
    SHUFFLED = "shuffled"
    WRONG_DIMENSIONS = "wrong_dimensions"
    IGNORE_DIMENSIONS = "ignore_dimensions"
    FLOAT_ONLY = "float_only"
    INSUFFICIENT_QUOTA = "insufficient_quota"

    @classmethod
    def _missing_(cls, value: object) -> NoReturn:
        raise ValueError(f"{value!r} is not a fault; the faults are {', '.join(cls)}")

    @property
    def bills(self) -> bool:
        """Whether the request is billed although the client gets nothing, or not what it asked for."""
        return self not in (Fault.SERVER_ERROR, Fault.RESET_BEFORE_BILLING, Fault.INSUFFICIENT_QUOTA)


class Faults:
    """Which fault befalls which request: a script first, then chance; safe to change while the server runs.

    - script: one entry a request in the order of arrival, None for a request that goes well.
    - rates: once the script is used up, the probability of each fault; the rest goes well. Chance is seeded,
      so the same number of requests meets the same faults in the same order of arrival.
    - poison, poison_marker: requests with one of these texts, or with the marker in a text, are refused.
    """

    def __init__(
        self,
        script: Iterable[str | None] = (),
        *,
        rates: Mapping[str, float] | None = None,
        seed: int = 0,
        poison: Collection[str] = (),
        poison_marker: str | None = None,
        statuses: Iterable[int] = (500, 502, 503),  # what server_error answers, in turn
        insufficient_quota: bool = False,  # whether the quota is gone from the start
    ) -> None:
        self.poison = frozenset([poison] if isinstance(poison, str) else poison)
        self.poison_marker = poison_marker
        self.insufficient_quota = insufficient_quota
        self._rates = {Fault(name): rate for name, rate in (rates or {}).items()}
        if not all(0 <= rate <= 1 for rate in self._rates.values()) or sum(self._rates.values()) > 1 + 1e-9:
            raise ValueError(f"fault rates are {self._rates}; each must lie in 0 to 1, and their sum as well")
        self._random = random.Random(seed)
        self._statuses = cycle(statuses)
        self._script: deque[Fault | None] = deque()
        self._lock = threading.Lock()
        self.then(*script)

    def then(self, *faults: str | None) -> None:
        """Adds to the script: the requests after those already provided for meet these faults."""
        entries = [None if name is None else Fault(name) for name in faults]
        with self._lock:
            self._script.extend(entries)

    def draw(self) -> Fault | None:
        """What befalls the request that has just arrived; None when nothing does."""
        with self._lock:
            fault = self._script.popleft() if self._script else self._by_chance()
            if fault is Fault.INSUFFICIENT_QUOTA:
                self.insufficient_quota = True
            return fault

    def _by_chance(self) -> Fault | None:
        if not self._rates:
            return None
        roll = self._random.random()
        for fault, rate in self._rates.items():
            roll -= rate
            if roll < 0:
                return fault
        return None

    def next_status(self) -> int:
        """The HTTP status of the next server_error."""
        with self._lock:
            return next(self._statuses)

    def poisons(self, texts: Iterable[str]) -> bool:
        """Whether any of the texts is one that the endpoint refuses."""
        marker = self.poison_marker
        return any(text in self.poison or (marker is not None and marker in text) for text in texts)
