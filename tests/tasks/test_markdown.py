"""What people read on the dashboard."""

from typing import Any

from tasks.markdown import Failure, failed, report, scores, table
from tasks.throughput import Throughput

REPORT: dict[str, Any] = {
    "run_id": "20261126T000000-abcdef",
    "table": "docs",
    "version": 3,
    "published": True,
    "documents": {"new": 2, "changed": 0, "unchanged": 1200, "deleted": 0, "failed": 1},
    "chunks": {"inserted": 5, "unchanged": 0, "deleted": 1, "dead": 0},
    "embedding": {
        **{"space": "local/wordllama@256", "texts": 5, "tokens": 1234, "requests": 1},
        **{"cache_hits": 7, "retries": 0, "paid_again": 0},
    },
    "cost_usd": 0.0,
    "seconds": {"list": 0.1, "embed": 4.0, "total": 65.0},
}


def test_a_report_says_what_changed_what_it_cost_and_where_to_look() -> None:
    text = report(REPORT, 1, Throughput([(1.0, 60.0)]))
    assert text.startswith("# Version 3 of docs is live")
    assert "| documents | 2 new, 1,200 unchanged, 1 failed |" in text
    assert "| cost | nothing |" in text
    assert "| time | 1 min 5 s |" in text
    assert "**1 dead letter**" in text
    assert "| embed | 4.0 | " + 24 * "█" + " |" in text
    assert "(data:image/svg+xml;base64," in text
    for command in ("search", "diff docs 2 3", "rollback docs 2", "runs 20261126T000000-abcdef"):
        assert f"vecmill {command}" in text


def test_a_run_that_changed_nothing_says_so_and_offers_no_way_back() -> None:
    text = report({**REPORT, "published": False}, 0, Throughput())
    assert text.startswith("# docs: nothing changed, version 3 stays live")
    assert "rollback" not in text
    assert "Throughput" not in text
    assert "dead letter" not in text


def test_a_failure_says_what_where_why_what_is_kept_and_what_to_do() -> None:
    spent = {"tokens": 4321, "cost_usd": 0.000086}
    failure = Failure("ProviderRefused", "the quota is used up\nraise it", "embed", spent)
    text = failed("ingest of docs", "20261126T000000-abcdef", failure)
    assert "| stage | embed |" in text
    assert "| spent | 4,321 tokens, 0.000086 USD; all of it is kept |" in text
    assert "> the quota is used up\n> raise it" in text
    assert "`vecmill rerun 20261126T000000-abcdef`" in text
    assert "before the first" in failed("ingest of docs", "r", Failure("InputError", "", None, None))


def test_a_table_holds_what_would_break_it() -> None:
    assert "| a\\|b | one two |" in table("t", [("a|b", "one\ntwo")])


def test_drift_is_shown_with_its_alarm_and_where_nothing_was_published_that_is_said() -> None:
    one = {
        "documents_before": 40,
        "documents_after": 1200,
        "effect": 0.262,
        "p": 0.0005,
        "centroid_shift": 0.1,
    }
    few = {**one, "effect": None, "p": None}
    drift = {"before": "version 1", "after": "version 2", "published_since": True, "whole": one, "new": few}
    text = scores("docs", {"modes": {}, "drift": {**drift, "reasons": ["it differs | much"]}})
    assert "## Drift, version 1 and version 2" in text
    assert "| all | 40 and 1,200 | 0.2620 | 0.0005 | 0.1000 |" in text
    assert "| what is new | 40 and 1,200 | too few | too few | 0.1000 |" in text
    assert "**Alarm:** it differs \\| much" in text
    assert "No alarm." in scores("docs", {"modes": {}, "drift": {**drift, "reasons": []}})
    still = {"modes": {}, "drift": {"before": "version 1", "after": "version 1", "published_since": False}}
    assert "Nothing was published since version 1." in scores("docs", still)
