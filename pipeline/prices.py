"""What a model's tokens cost."""

import json
from functools import cache
from importlib.resources import files

from pipeline.model import Space


def usd(space: Space, tokens: int) -> float | None:
    """The price of tokens in US dollars; None where the model's price is not known."""
    if space.provider == "local" or tokens == 0:
        return 0.0
    rate = _rates().get(f"{space.provider}/{space.model}")
    return None if rate is None else tokens * rate / 1e6


@cache
def _rates() -> dict[str, float]:
    data = json.loads(files("pipeline").joinpath("prices.json").read_text("utf-8"))
    rates: dict[str, float] = data["usd_per_million_tokens"]
    return rates
