"""Prices are a table of the package, in dollars a million tokens."""

import pytest

from pipeline import prices
from pipeline.model import Space


@pytest.mark.parametrize(
    ("model", "dollars"),
    [("text-embedding-3-small", 0.02), ("text-embedding-3-large", 0.13), ("text-embedding-ada-002", 0.1)],
)
def test_a_million_tokens_cost_the_rate_whatever_the_dimensions(model: str, dollars: float) -> None:
    for dimensions in (64, 1536):
        assert prices.usd(Space("openai", model, dimensions), 1_000_000) == dollars
    assert prices.usd(Space("openai", model, 64), 1) == pytest.approx(dollars / 1e6)


def test_the_local_model_and_nothing_at_all_are_free() -> None:
    assert prices.usd(Space("local", "wordllama", 256), 10**12) == 0.0
    assert prices.usd(Space("openai", "unheard-of", 8), 0) == 0.0


@pytest.mark.parametrize("name", ["openai/unheard-of@8", "other/text-embedding-3-small@8"])
def test_a_price_that_is_not_known_is_not_guessed(name: str) -> None:
    assert prices.usd(Space.parse(name), 1) is None


def test_every_rate_is_a_positive_number_of_a_named_model() -> None:
    rates = prices._rates()
    assert all(rate > 0 for rate in rates.values())
    assert all(Space.parse(f"{name}@8").provider == "openai" for name in rates)
