"""How batches go at an endpoint: how long they take, how large they may be, what goes wrong with them."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NoReturn

from .faults import Faults
from .files import MAX_FILE_BYTES
from .limits import Clock


class CallFault(StrEnum):
    """What can go wrong with a call of the API itself."""

    SERVER_ERROR = "server_error"  # 503, and nothing was done
    RESET = "reset"  # the connection breaks off, and nothing was done
    LOST = "lost"  # what was asked for is done, and the connection breaks off before the answer

    @classmethod
    def _missing_(cls, value: object) -> NoReturn:
        raise ValueError(f"{value!r} is not a fault of a call; they are {', '.join(cls)}")


class Calls:
    """Which fault befalls which call, by operation: upload, create, list, get, cancel, content and so on."""

    def __init__(self, **scripts: Iterable[str | None]) -> None:
        self.seen: Counter[str] = Counter()
        self.hook: Callable[[str, str], object] | None = None  # hears (operation, "before" or "after")
        self._scripts = {
            operation: deque(None if name is None else CallFault(name) for name in script)
            for operation, script in scripts.items()
        }

    def draw(self, operation: str) -> CallFault | None:
        """What befalls the call that has just arrived."""
        self.seen[operation] += 1
        script = self._scripts.get(operation)
        return script.popleft() if script else None

    def tell(self, operation: str, moment: str) -> None:
        """Tell the test that a call has arrived, or is about to be answered."""
        if self.hook:
            self.hook(operation, moment)


@dataclass(slots=True, kw_only=True)
class BatchRules:
    """How batches go at an endpoint."""

    served: bool = True  # whether the endpoint has files and batches at all
    seconds: float = 0.0  # that a batch takes, from its creation to its end
    window: float = 86_400.0  # seconds after which what is not done expires
    requests: int = 50_000  # a batch
    inputs: int = 50_000  # texts a batch
    file_bytes: int = MAX_FILE_BYTES
    enqueued_tokens: int | None = None  # of all batches that have not ended; None is unlimited
    lines: Faults = field(default_factory=Faults)  # what befalls lines
    calls: Calls = field(default_factory=Calls)  # what befalls calls of the API
    now: Clock = time.time  # unix seconds
    seed: int = 0  # of the order of output lines
