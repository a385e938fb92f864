"""Which lane texts take: the ordinary one, within minutes, or batches, within a day at half the price."""

import math

from pipeline.errors import InputError
from pipeline.job import Job
from pipeline.model import Amount
from pipeline.prices import usd

WINDOW_HOURS = 24
"""Within which the provider answers a batch, and expires what it has not done."""

_AT_ONCE = 1_000_000  # texts in batches under way at once
_NO_TROUBLE = 0.01  # US dollars that are not worth a day


def lane_of(job: Job, amount: Amount, rounds: int = 1, passed: float = 0.0) -> str:
    """The lane of so much to embed, in so many rounds one after another, `passed` seconds into the run.

    "auto" takes the batch lane where its windows fit before the deadline; not for what is sent within a
    minute of the quota and saves less than a cent. Raises InputError where there is no such lane.
    """
    wanted = job.endpoint.lane
    if wanted == "batch" and not job.space.remote:
        raise InputError(
            f"{job.space.name} is this machine's own work, which has no batch lane; leave --lane batch out"
        )
    if wanted != "auto":
        return wanted
    if not job.space.remote or job.endpoint.deadline is None:
        return "ordinary"
    # The minutes that a run takes before it sends are not counted against whole hours.
    left = math.ceil(job.endpoint.deadline - passed / 3600)
    if left < hours_at_most(job, amount) * rounds:
        return "ordinary"
    return "ordinary" if _no_trouble(job, amount) else "batch"


def hours_at_most(job: Job, amount: Amount) -> int:
    """How long batches take at most: a window for each time that the provider's queue is filled."""
    queue = job.endpoint.enqueued_tokens
    times = max(math.ceil(amount.texts / _AT_ONCE), math.ceil(amount.tokens / queue) if queue else 1)
    return WINDOW_HOURS * max(1, times)


def _no_trouble(job: Job, amount: Amount) -> bool:
    dear, cheap = usd(job, amount.tokens), usd(job, amount.tokens, "batch")
    saved = dear - cheap if dear is not None and cheap is not None else math.inf
    endpoint = job.endpoint
    fits = amount.tokens <= (endpoint.tpm or math.inf) and amount.requests <= (endpoint.rpm or math.inf)
    return fits and saved < _NO_TROUBLE
