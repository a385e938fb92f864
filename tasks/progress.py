"""Who hears how far a run has come, when the run is a flow in this process."""

import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Protocol

from pipeline.ports import Advance, Progress, silent

_listener: ContextVar[Progress] = ContextVar("progress", default=silent)

# A server that hears of each of a thousand requests has nothing else to do.
_EVERY_SECONDS = 2.0


class Board(Protocol):
    """Where a stage's progress is shown."""

    def show(self, advance: Advance) -> None:
        """Show how far a stage has come, in place of what was shown of it before."""


class Paced:
    """A Progress that shows stages that send texts on a board, now and then and when they are done."""

    def __init__(
        self, board: Board, clock: Callable[[], float] = time.monotonic, every: float = _EVERY_SECONDS
    ) -> None:
        self._board = board
        self._clock = clock
        self._every = every  # seconds, at least, between two showings
        self._shown: dict[str, float] = {}

    def __call__(self, advance: Advance, /) -> None:
        """Show how far a stage has come, where it is time to."""
        if advance.sending is None:
            return
        now, last = self._clock(), self._shown.get(advance.stage)
        done = advance.total is not None and advance.done >= advance.total
        if done or last is None or now - last >= self._every:
            self._shown[advance.stage] = now
            self._board.show(advance)


def listen(progress: Progress) -> None:
    """Let flows that start in this context tell their progress."""
    _listener.set(progress)


def telling(board: Board) -> Progress:
    """The Progress of a flow: it tells whoever listens in this process, and the board."""
    here, paced = _listener.get(), Paced(board)

    def tell(advance: Advance, /) -> None:
        here(advance)
        paced(advance)

    return tell
