"""What the endpoint has billed, text by text."""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256


@dataclass(frozen=True, slots=True)
class Charge:
    """One text billed once."""

    text: str  # the input, as the client sent it
    tokens: int  # what it was billed for, in the endpoint's unit of count
    request: int  # which billed request carried it, counted from 1
    batch: bool = False  # whether it came by a batch, at half the price


class Ledger:
    """The bill, safe to read from the test's thread while the server's thread writes it.

    A repeated text counts every time it is billed: `texts_billed` minus the number of distinct texts is what
    a client paid for in vain.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in_flight = 0
        self._start_over()

    def _start_over(self) -> None:
        self._charges: list[Charge] = []
        self._times: Counter[str] = Counter()
        self._tokens = 0
        self._batch_tokens = 0
        self._requests = 0
        self._arrived = 0
        self._rejected_429 = 0
        # Requests under way survive a reset, so the maximum starts from them rather than from nothing.
        self._max_in_flight = self._in_flight

    def reset(self) -> None:
        """Forgets everything billed and counted so far."""
        with self._lock:
            self._start_over()

    def bill(self, texts: Sequence[str], tokens: Sequence[int], *, batch: bool = False) -> None:
        """Records one request's texts, all or none of them; `tokens` holds the count of each text."""
        with self._lock:
            number = self._requests + 1
            pairs = zip(texts, tokens, strict=True)
            self._charges += [Charge(text, size, number, batch) for text, size in pairs]
            self._requests = number
            self._times.update(texts)
            self._tokens += sum(tokens)
            self._batch_tokens += sum(tokens) * batch

    def reject(self) -> None:
        """Counts one request that was answered 429."""
        with self._lock:
            self._rejected_429 += 1

    @contextmanager
    def in_flight(self) -> Iterator[None]:
        """Counts one request that has arrived and is not answered yet."""
        with self._lock:
            self._arrived += 1
            self._in_flight += 1
            self._max_in_flight = max(self._max_in_flight, self._in_flight)
        try:
            yield
        finally:
            with self._lock:
                self._in_flight -= 1

    def billed(self, text: str) -> int:
        """How many times this text was billed."""
        with self._lock:
            return self._times[text]

    def billed_more_than_once(self) -> dict[str, int]:
        """The texts billed twice or more, with how many times."""
        with self._lock:
            return {text: times for text, times in self._times.items() if times > 1}

    @property
    def charges(self) -> tuple[Charge, ...]:
        """Every charge, in the order of billing."""
        with self._lock:
            return tuple(self._charges)

    @property
    def texts_billed(self) -> int:
        """Texts billed, a repeated one as often as it was."""
        with self._lock:
            return len(self._charges)

    @property
    def tokens_billed(self) -> int:
        """Tokens billed, in the endpoint's unit of count."""
        with self._lock:
            return self._tokens

    @property
    def batch_tokens_billed(self) -> int:
        """Those of them that came by batches, and cost half."""
        with self._lock:
            return self._batch_tokens

    def usd(self, rate: float) -> float:
        """The bill in US dollars, at so many a million tokens; a batch's tokens cost half."""
        with self._lock:
            return (self._tokens - self._batch_tokens / 2) * rate / 1e6

    @property
    def requests(self) -> int:
        """Requests billed; those refused or failed before billing are not among them."""
        with self._lock:
            return self._requests

    @property
    def arrived(self) -> int:
        """Requests that reached the embeddings route, whatever became of them."""
        with self._lock:
            return self._arrived

    @property
    def rejected_429(self) -> int:
        """Requests answered 429, for a rate limit or for the quota."""
        with self._lock:
            return self._rejected_429

    @property
    def max_in_flight(self) -> int:
        """The most requests seen at once between arrival and answer."""
        with self._lock:
            return self._max_in_flight

    def summary(self) -> dict[str, object]:
        """The bill for another process: texts appear only as the sha256 of their UTF-8, in hex."""
        with self._lock:
            repeated = {text: times for text, times in self._times.items() if times > 1}
            return {
                "requests": self._requests,
                "arrived": self._arrived,
                "rejected_429": self._rejected_429,
                "max_in_flight": self._max_in_flight,
                "texts": len(self._charges),
                "tokens": self._tokens,
                "batch_tokens": self._batch_tokens,
                "repeated": {sha256(text.encode()).hexdigest(): times for text, times in repeated.items()},
            }
