"""Everything that can go wrong, by who has to act on it.

A message names the value, where it stands and what to do next. Foreign exceptions are translated
into this tree at the boundary where they arise, so that callers never catch a library's own.
"""


class VecmillError(Exception):
    """A failure that a person can act on; `exit_code` is what the command line returns."""

    exit_code = 1


class UsageError(VecmillError):
    """The command's words do not fit together."""

    exit_code = 2


class InputError(VecmillError):
    """The input or the configuration is at fault."""

    exit_code = 3


class OverBudget(VecmillError):
    """The run costs more than it may spend; it has spent no more than that."""

    exit_code = 4


class OutOfTime(OverBudget):
    """The run takes longer than it may: a budget of time. What was paid is kept."""


class TooManyFailures(VecmillError):
    """More documents failed than the failure budget allows; nothing was published."""

    exit_code = 5


class GateFailed(VecmillError):
    """What is staged does not stand up to the questions that its owner asks of it; nothing was published."""

    exit_code = 5


class ProviderRefused(VecmillError):
    """The provider will not serve this run: key refused, quota gone, or no answer in time."""

    exit_code = 6


class StoreRefused(VecmillError):
    """The store cannot take the result: conflict, no space, no permission."""

    exit_code = 7


class RequestFailed(Exception):
    """One request to a provider failed; the worker that sent it decides what follows."""


class Retryable(RequestFailed):
    """The same request may succeed later.

    `retry_after` is the seconds the endpoint asked for, None where it said nothing;
    `perhaps_billed` says whether the provider may have charged for the failed attempt.
    """

    def __init__(self, reason: str, *, retry_after: float | None = None, perhaps_billed: bool = False):
        super().__init__(reason)
        self.retry_after = retry_after
        self.perhaps_billed = perhaps_billed


class Throttled(Retryable):
    """The endpoint's rate limit was met (429): every worker of this endpoint has to wait."""


class Unreachable(Retryable):
    """No connection was made: nothing was sent, so nothing was billed."""


class Undone(RequestFailed):
    """A request has had all the attempts that its run can pay for.

    `perhaps_billed` is how many of them the provider may have charged for.
    """

    def __init__(self, reason: str, *, perhaps_billed: int, retries: int):
        super().__init__(reason)
        self.perhaps_billed = perhaps_billed
        self.retries = retries


class Rejected(RequestFailed):
    """The endpoint refuses this input (400): at least one text of the request is to blame."""
