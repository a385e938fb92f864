"""A generation beside the live one, compared with it."""

from itertools import count
from pathlib import Path
from typing import Any

import pytest

from pipeline.comparison import Asked, Comparison, Reached, compare
from pipeline.condition import Condition
from pipeline.errors import GateFailed, InputError
from pipeline.job import Endpoint, Price
from pipeline.objects import Objects
from pipeline.space import Space
from pipeline.splitter_spec import SplitterSpec
from pipeline.store.generations import begin, generation_for
from tests.backfills import SPLITTER, WIDE, fill, filling_job
from tests.endpoint import MeteredEndpoint
from tests.support import OPENAI, job_for, metered, run, write_pages

_HERE = (Reached(Endpoint()), Reached(Endpoint()))
_TOPICS = ["rivers and rain", "stars at night", "bread and butter", "川の水", "山の雪", "鉄道の駅"]


@pytest.fixture
def objects(tmp_path: Path, store: str) -> Objects:
    pages = {
        f"{n}.md": f"# {topic}\n\nAll about {topic}, and nothing else." for n, topic in enumerate(_TOPICS)
    }
    run(job_for(write_pages(tmp_path / "docs", pages), store))
    return Objects(store)


def _compared(objects: Objects, asked: Asked | None = None, **options: Any) -> Comparison:
    ticks = count()
    return compare(objects, "docs", "next", _HERE, asked, clock=lambda: next(ticks) / 1000, **options)


def test_a_generation_agrees_wholly_with_one_that_ranks_alike(objects: Objects, store: str) -> None:
    fill(filling_job(store, space=Space("local", "wordllama", 64, matryoshka=True)))
    found = _compared(objects)
    assert (found.overlap, found.questions) == (1.0, 6)
    assert found.correlation == pytest.approx(1.0)
    assert (found.live.search_ms, found.next.search_ms_95) == (1.0, 1.0)
    assert found.next.embed_ms == 1.0
    assert (found.live.cost_usd, found.cost_usd) == (0.0, 0.0)


def test_both_are_asked_in_their_own_spaces_and_counted_by_their_own_texts(
    objects: Objects, store: str
) -> None:
    cut = SplitterSpec("recursive", 8, prefix_headings=False)
    fill(filling_job(store, splitter=cut))
    found = _compared(objects, Asked(["stars at night", "山の雪"]), top_k=3)
    assert (found.live.space, found.next.space) == ("local/wordllama@64", "local/wordllama@128")
    assert (found.live.dimensions, found.next.dimensions) == (64, 128)
    assert found.next.chunks > found.live.chunks == 6
    assert len(found.overlaps) == len(found.correlations) == 2
    assert 0 < found.overlap <= 1
    assert min(found.live.bytes, found.next.bytes) > 0


def test_labels_say_which_finds_more(objects: Objects, store: str) -> None:
    fill(filling_job(store))
    asked = Asked(["stars at night", "山の雪"], [{"1.md": 1.0}, {"4.md": 1.0, "0.md": 1.0}])
    found = _compared(objects, asked, top_k=1)
    assert (found.live.recall, found.next.recall) == (0.75, 0.75)  # one of two fits in
    assert found.next.ndcg is not None
    assert 0.5 < found.next.ndcg < 1.0
    assert found.measures(found.next)["recall@1"] == 0.75


def test_questions_are_paid_for_once_and_their_price_is_told(objects: Objects, store: str) -> None:
    with MeteredEndpoint(key="sk-test") as endpoint:
        access = metered(endpoint.url)
        fill(filling_job(store, **access))
        billed = endpoint.ledger.tokens_billed
        ways = (Reached(Endpoint()), Reached(access["endpoint"], Price(2.0, "here")))
        found = compare(objects, "docs", "next", ways, Asked(["how deep?", "川は？"]))
        tokens = endpoint.ledger.tokens_billed - billed
        assert found.cost_usd == pytest.approx(tokens * 2.0 / 1e6)
        assert found.next.cost_usd == pytest.approx(billed * 2.0 / 1e6)
        again = compare(objects, "docs", "next", ways, Asked(["how deep?", "川は？"]))
        assert endpoint.ledger.tokens_billed == billed + tokens
        assert (again.cost_usd, again.next.embed_ms) == (0.0, None)
        assert again.overlaps == found.overlaps
        assert OPENAI.name == found.next.space


def test_conditions_decide_and_what_is_not_measured_is_said(objects: Objects, store: str) -> None:
    fill(filling_job(store))
    found = _compared(objects)
    found.check(Condition.parse("overlap@10>=0.1,search_ms<=live"))
    with pytest.raises(GateFailed, match=r"overlap@10 is .*, wanted is >1"):
        found.check(Condition.parse("overlap@10>1"))
    with pytest.raises(InputError, match="recall@10, which is not measured here"):
        found.check(Condition.parse("recall@10>=0.5"))


def test_an_empty_generation_and_senseless_sizes_are_refused(objects: Objects, store: str) -> None:
    begin(objects, "docs", generation_for(objects, "docs", WIDE, SPLITTER), WIDE, SPLITTER, "r")
    with pytest.raises(InputError, match="holds nothing yet"):
        _compared(objects)
    with pytest.raises(InputError, match="both are at least 1"):
        _compared(objects, top_k=0)


def test_a_comparison_without_questions_is_refused(objects: Objects, store: str) -> None:
    fill(filling_job(store))
    with pytest.raises(InputError, match="no questions"):
        _compared(objects, Asked([]))
