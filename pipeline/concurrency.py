"""How many requests a worker has on their way at once: more while all goes well, fewer when it does not."""

import asyncio
from collections import deque

_FIRST = 8  # at once, before anything is known
_HALVED = 0.5


class Window:
    """A limit on what is under way, by additive increase and multiplicative decrease.

    Chiu and Jain 1989: those who share an endpoint so come to share it evenly. As TCP does, it doubles in
    the time of an answer until something goes wrong for the first time, and from then on grows by one.
    """

    def __init__(self, most: int) -> None:
        """A window that may grow to `most` requests."""
        self._most = most
        self.size = float(min(_FIRST, most))
        self._doubling = True
        self._under_way = 0
        self._answers = 0  # since it shrank
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> None:
        """Wait until there is room, and take it."""
        if self._under_way < int(self.size) and not self._waiting:
            self._under_way += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # the room was given, and is not wanted
                self.leave()
            raise

    def leave(self) -> None:
        """Make room for others."""
        self._under_way -= 1
        while self._waiting and self._under_way < int(self.size):
            turn = self._waiting.popleft()
            if not turn.done():
                self._under_way += 1
                turn.set_result(None)

    def grow(self) -> None:
        """An answer came: there may be room for more."""
        self._answers += 1
        self.size = min(float(self._most), self.size + (1.0 if self._doubling else 1 / self.size))

    def shrink(self) -> None:
        """The endpoint is overloaded; all that were on their way then say so, and are heard as one."""
        if self._answers < self.size and not self._doubling:
            return
        self._doubling, self._answers = False, 0
        self.size = max(1.0, self.size * _HALVED)
