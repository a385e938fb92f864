"""What a model's tokens cost: by the price list of the package, or by the user's own price."""

import json
import math
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from pipeline.job import Job, Price
from pipeline.space import Space

LANES = {"ordinary": 1.0, "batch": 0.5}
"""How texts travel, and the share of the price that it costs."""

_FREE = Price(0.0, "this machine's own work")


def known(space: Space, own: Mapping[str, Price]) -> Price | None:
    """The price of a space's model: the user's own, where one is given, else the list's; None if unknown."""
    if not space.remote:
        return _FREE
    name = f"{space.provider}/{space.model}"
    return own.get(name) or _listed().get(name)


def price_of(job: Job) -> Price | None:
    """The price that a job pays; None where it is not known."""
    return job.price or known(job.space, {})


def usd(job: Job, tokens: int, lane: str = "ordinary") -> float | None:
    """What tokens cost a job, in US dollars; None where the price is not known."""
    price = price_of(job)
    if tokens == 0:
        return 0.0
    return None if price is None else tokens * price.usd * LANES[lane] / 1e6


def affordable(job: Job, lane: str = "ordinary") -> int | None:
    """The tokens that a job's budget pays for; None where there is no bound."""
    bounds = [] if job.budget.tokens is None else [job.budget.tokens]
    most, price = job.budget.usd, price_of(job)
    rate = price.usd * LANES[lane] if price else 0.0
    if most is not None and rate:
        tokens = math.floor(most * 1e6 / rate)
        # Money is counted in floats: a budget of exactly what tokens cost has to pay for all of them.
        bounds.append(tokens + ((usd(job, tokens + 1, lane) or 0.0) <= most))
    return min(bounds, default=None)


@cache
def _listed() -> dict[str, Price]:
    data = json.loads(files("pipeline").joinpath("prices.json").read_text("utf-8"))
    rates: dict[str, float] = data["usd_per_million_tokens"]
    return {name: Price(rate, data["source"], data["as_of"]) for name, rate in rates.items()}
