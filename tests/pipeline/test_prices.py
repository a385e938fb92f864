"""Prices are a table of the package, in dollars a million tokens, and a user's own go before it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import prices
from pipeline.errors import InputError
from pipeline.job import Budget, Job, Price, SourceSpec
from pipeline.space import Space
from tests.support import job_for


def _job(space: Space, **changes: object) -> Job:
    return job_for(SourceSpec("files", "docs"), "store", space=space, **changes)


def _usd(name: str, tokens: int) -> float | None:
    return prices.usd(_job(Space.parse(name)), tokens)


@pytest.mark.parametrize(
    ("model", "dollars"),
    [("text-embedding-3-small", 0.02), ("text-embedding-3-large", 0.13), ("text-embedding-ada-002", 0.1)],
)
def test_a_million_tokens_cost_the_rate_whatever_the_dimensions(model: str, dollars: float) -> None:
    for dimensions in (64, 1536):
        assert _usd(f"openai/{model}@{dimensions}", 1_000_000) == dollars
    assert _usd(f"openai/{model}@64", 1) == pytest.approx(dollars / 1e6)


def test_models_on_this_machine_and_nothing_at_all_are_free() -> None:
    for name in ("local/wordllama@256", "onnx/small@8", "sentence-transformers/small@8"):
        assert _usd(name, 10**12) == 0.0
    assert _usd("openai/unheard-of@8", 0) == 0.0


@pytest.mark.parametrize("name", ["openai/unheard-of@8", "other/text-embedding-3-small@8"])
def test_a_price_that_is_not_known_is_not_guessed(name: str) -> None:
    assert _usd(name, 1) is None


def test_every_listed_price_is_of_a_named_model_and_says_where_and_when_it_was_found() -> None:
    listed = prices._listed()
    assert all(Space.parse(f"{name}@8").provider == "openai" for name in listed)
    assert all(price.usd > 0 and price.source.startswith("https://") for price in listed.values())
    assert {len(price.as_of.split("-")) for price in listed.values()} == {3}


def test_a_price_of_the_users_own_goes_before_the_list() -> None:
    space, own = Space("openai", "text-embedding-3-small", 8), Price(0.5, "vecmill.toml")
    assert prices.known(space, {"openai/text-embedding-3-small": own}) is own
    listed = prices.known(space, {"openai/other": own})
    assert listed is not None
    assert listed.usd == 0.02
    assert prices.usd(replace(_job(space), price=own), 2_000_000) == 1.0


@pytest.mark.parametrize("rate", [-0.01, float("inf"), float("nan")])
def test_what_is_no_price_is_refused(rate: float) -> None:
    with pytest.raises(InputError, match="USD a million tokens"):
        Price(rate, "here")


@given(st.integers(0, 10**9), st.sampled_from([0.02, 0.13, 0.1, 0.37, 1.0, 1e-3]))
def test_a_budget_of_what_tokens_cost_pays_for_these_and_for_no_more(tokens: int, rate: float) -> None:
    job = replace(_job(Space("openai", "m", 8)), price=Price(rate, "here"))
    cost = prices.usd(job, tokens)
    assert prices.affordable(replace(job, budget=Budget(usd=cost))) == tokens
    assert prices.affordable(replace(job, budget=Budget(usd=cost, tokens=tokens // 2))) == tokens // 2


def test_without_a_budget_or_for_nothing_there_is_no_bound() -> None:
    assert prices.affordable(_job(Space("openai", "text-embedding-3-small", 8))) is None
    assert prices.affordable(_job(Space("local", "wordllama", 64), budget=Budget(usd=0.0))) is None
    assert prices.affordable(_job(Space("local", "wordllama", 64), budget=Budget(tokens=5))) == 5
