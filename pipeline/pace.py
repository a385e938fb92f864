"""How quickly a run goes, and when it will be done."""

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

_WINDOW = 30.0  # seconds: what went before says little of what is to come


class _Seen(NamedTuple):
    seconds: float
    tokens: int
    requests: int


@dataclass(slots=True)
class Pace:
    """The rate of tokens and requests over the last half minute."""

    window: float = _WINDOW  # seconds
    _seen: deque[_Seen] = field(default_factory=deque)

    def see(self, seconds: float, tokens: int, requests: int) -> None:
        """Take in how much was finished by a moment; moments come in order."""
        self._seen.append(_Seen(seconds, tokens, requests))
        # The last one before the window is where it starts.
        while len(self._seen) > 2 and self._seen[1].seconds <= seconds - self.window:
            self._seen.popleft()

    @property
    def tokens_a_minute(self) -> float:
        """Tokens a minute, of late; 0 where nothing was finished."""
        return self._rate(1)

    @property
    def requests_a_minute(self) -> float:
        """Requests a minute, of late; 0 where nothing was finished."""
        return self._rate(2)

    def _rate(self, place: int) -> float:
        if not self._seen:
            return 0.0
        first, last = self._seen[0], self._seen[-1]
        passed = last.seconds - first.seconds
        return (last[place] - first[place]) * 60 / passed if passed > 0 else 0.0


def seconds_left(
    tokens: int, requests: int, tokens_a_minute: float, tpm: int | None = None, rpm: int | None = None
) -> float | None:
    """How long the tokens and requests that are left will take; None where nothing moves.

    It is told from the present rate, which a burst can raise for a while: it is never less than what the
    quota permits.
    """
    if not tokens and not requests:
        return 0.0
    if tokens_a_minute <= 0:
        return None
    bounds = [tokens * 60 / tokens_a_minute]
    bounds += [tokens * 60 / tpm] if tpm else []
    bounds += [requests * 60 / rpm] if rpm else []
    return max(bounds)
