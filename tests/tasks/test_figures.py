"""Progress in figures for people."""

import pytest

from pipeline.ports import Advance, Sending
from tasks.figures import figures, line, time

SENDING = Sending(
    tokens=45_678,
    tokens_total=120_000,
    requests=12,
    requests_total=30,
    retries=3,
    usd=0.000914,
    seconds=46.0,
    tokens_a_minute=58_900.4,
    requests_a_minute=15.6,
    tpm=60_000,
    rpm=None,
    left=75.7,
)


def test_all_that_is_known_of_the_sending_is_said() -> None:
    assert figures(Advance("embed", 1234, 3000, SENDING)) == {
        "texts": "1,234 of 3,000",
        "tokens": "45,678 of 120,000",
        "requests": "12 of 30",
        "spent": "0.000914 USD",
        "tokens a minute": "58,900 (98% of the quota)",
        "requests a minute": "16",
        "retries": "3",
        "left": "about 1 min 16 s left",
    }


def test_what_is_not_known_or_nothing_is_left_out() -> None:
    unknown = Sending(0, 100, 0, 1, 0, None, 0.2, 0.0, 0.0, None, 60, None)
    assert figures(Advance("embed", 0, 5, unknown)) == {
        "texts": "0 of 5",
        "tokens": "0 of 100",
        "requests": "0 of 1",
    }


def test_a_line_of_a_log_says_the_same() -> None:
    assert line(Advance("embed", 1234, 3000, SENDING)) == (
        "1,234 of 3,000 texts, 45,678 of 120,000 tokens, 12 of 30 requests, 0.000914 USD, 58,900 tokens a "
        "minute (98% of the quota), 16 requests a minute, 3 retries, about 1 min 16 s left"
    )
    assert line(Advance("split", 3, 7)) == "3 of 7"
    assert line(Advance("list", 3000, None)) == "3,000"


def test_where_nothing_comes_back_no_time_is_promised() -> None:
    stalled = Sending(5, 100, 1, 9, 0, None, 40.0, 0.0, 0.0, 60, 60, None)
    assert figures(Advance("embed", 1, 5, stalled))["left"] == "waiting for an answer"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (90_000, "25 h 0 min"),
    ],
)
def test_times_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert time(seconds) == said
