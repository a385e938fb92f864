"""What people see."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from flows import render

Captured = pytest.CaptureFixture[str]

DONE = {
    "run_id": "20260101T000000-abcdef",
    "table": "docs",
    "version": 3,
    "published": True,
    "documents": {"new": 1234, "changed": 0, "unchanged": 2, "deleted": 0, "failed": 1},
    "chunks": {"inserted": 5000, "unchanged": 0, "deleted": 0, "dead": 0},
    "embedding": {
        "space": "openai/my[model]@64", "texts": 4000, "tokens": 1_000_000, "requests": 9, "cache_hits": 7,
        "retries": 2, "paid_again": 1,
    },
    "cost_usd": 0.02,
    "seconds": {"total": 12.34},
}  # fmt: skip
NOTHING: dict[str, Any] = {
    **DONE,
    "published": False,
    "chunks": {"inserted": 0},
    "embedding": {"space": "local/wordllama@256", "texts": 0, "tokens": 0, "cache_hits": 0, "retries": 0},
    "cost_usd": 0.0,
}


def _values(value: Any, capsys: Captured) -> Any:
    render.json_document(value)
    return json.loads(capsys.readouterr().out)


def test_json_has_numbers_for_decimals_and_text_for_what_it_has_no_form_for(capsys: Captured) -> None:
    value = {
        "sum": Decimal(12),
        "price": Decimal("1.50"),
        "huge": Decimal(2**100),
        "at": datetime(2026, 1, 2, tzinfo=UTC),
        "took": timedelta(seconds=1),
        "名": "山",
        "nan": float("nan"),
    }
    assert _values(value, capsys) == {
        "sum": 12,
        "price": 1.5,
        "huge": float(2**100),
        "at": "2026-01-02T00:00:00+00:00",
        "took": "0:00:01",
        "名": "山",
        "nan": None,
    }


def test_a_report_says_what_was_done_to_what(capsys: Captured) -> None:
    render.report(DONE)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "documents 1,234 new, 2 unchanged, 1 failed",
        "chunks 5,000 inserted",
        "embedded 4,000 texts, 1,000,000 tokens, 7 known already",
        "space openai/my[model]@64",
        "retries 2; texts paid again: 1",
        "cost 0.020000 USD",
        "time 12.3 s",
        "run 20260101T000000-abcdef",
        "version 3 of docs is live",
    ]


@pytest.mark.parametrize(("version", "end"), [(3, "; version 3 stays live"), (None, "")])
def test_a_report_of_nothing_says_so(version: int | None, end: str, capsys: Captured) -> None:
    render.report({**NOTHING, "version": version})
    out = capsys.readouterr().out
    assert "chunks     none" in out
    assert "cost       nothing" in out
    assert out.endswith(f"nothing changed, nothing was embedded, nothing was published{end}\n")


@pytest.mark.parametrize(
    ("cost", "over", "quota", "said"),
    [
        (None, False, None, ["cost price not known"]),
        (1.5, True, 90.0, ["cost 1.500000 USD — over the budget", "at the quota 90 s"]),
    ],
)
def test_a_plan_says_its_price_and_its_time(
    cost: float | None, over: bool, quota: float | None, said: list[str], capsys: Captured
) -> None:
    embed = {"texts": 1200, "tokens": 99_000, "requests": 3}
    counts = {"documents": {"new": 1}, "chunks": {"inserted": 2}}
    money = {"cost_usd": cost, "seconds_at_quota": quota, "over_budget": over}
    render.plan({**counts, "to_embed": embed, "cache_hits": 5, **money})
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[2:4] == ["to embed 1,200 texts, 99,000 tokens, 3 requests", "known already 5 texts"]
    assert lines[4:] == said


def test_a_plan_by_batch_says_by_when(capsys: Captured) -> None:
    embed = {"texts": 1200, "tokens": 99_000, "requests": 3}
    counts = {"documents": {"new": 1}, "chunks": {"inserted": 2}}
    time = {"seconds_at_quota": None, "hours_at_most": 48}
    render.plan({**counts, "to_embed": embed, "cache_hits": 5, "cost_usd": 0.5, "over_budget": False, **time})
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[4:] == ["cost 0.500000 USD", "by batch half the price, within 48 h"]


def test_a_plan_of_two_rounds_says_what_is_exact_and_what_is_at_most(capsys: Captured) -> None:
    first, second = ({"texts": n, "tokens": 10 * n, "requests": 1} for n in (700, 300))
    render.plan(
        {
            "documents": {"new": 1},
            "chunks": {"inserted": None},
            "to_embed": {"texts": 1000, "tokens": 10_000, "requests": 2},
            "cache_hits": 0,
            "cost_usd": 0.0002,
            "seconds_at_quota": None,
            "over_budget": False,
            "rounds": {"sentences": first, "chunks_at_most": second},
        }
    )
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[1:] == [
        "sentences 700 texts, 7,000 tokens, 1 requests",
        "chunks at most 300 texts, 3,000 tokens, 1 requests",
        "to embed at most 1,000 texts, 10,000 tokens, 2 requests",
        "known already 0 texts",
        "cost at most 0.000200 USD",
    ]


def test_rows_are_a_table_of_the_first_hundred(capsys: Captured) -> None:
    render.rows({"n": n, "[/]": None, "v": [0.5] * 9} for n in range(101))
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[:2] == ["n [/] v", "0 [9 values]"]
    assert lines[-2:] == ["99 [9 values]", "… the first 100 rows; --json gives all of them"]


def test_a_hundred_rows_are_all_there_are(capsys: Captured) -> None:
    render.rows({"n": n} for n in range(100))
    assert capsys.readouterr().out.split()[-1] == "99"


def test_no_rows_are_said_and_columns_can_be_chosen(capsys: Captured) -> None:
    render.rows([])
    render.rows([{"a": 1, "b": "[red]x[/]"}], ("b",))
    assert [line.strip() for line in capsys.readouterr().out.splitlines()] == ["no rows", "b", "[red]x[/]"]


def test_an_error_goes_to_stderr_word_for_word(capsys: Captured) -> None:
    render.complain("no [bold]山[/] in /a/[x].md\x07")
    out, err = capsys.readouterr()
    assert (out, err) == ("", "error: no [bold]山[/] in /a/[x].md\ufffd\n")
