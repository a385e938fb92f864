"""The plot of a run's throughput beside its quota."""

import re
from base64 import b64decode
from dataclasses import replace
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from pipeline.ports import Advance, Sending
from tasks.throughput import Throughput

SENDING = Sending(0, 1000, 0, 10, 0, None, 0.0, 0.0, 0.0, 60_000, None, None)


def _advance(stage: str, seconds: float, tokens: int, done: int = 1) -> Advance:
    return Advance(stage, done, 10, replace(SENDING, seconds=seconds, tokens=tokens))


def _svg(seen: Throughput) -> str:
    head, _, data = seen.image().partition(",")
    assert head == "data:image/svg+xml;base64"
    return b64decode(data).decode()


def test_rates_are_told_between_moments_at_least_a_second_apart() -> None:
    seen = Throughput()
    for seconds, tokens in ((0.5, 10), (2.0, 1000), (2.4, 1300), (4.0, 3000)):
        seen.see(_advance("embed", seconds, tokens))
    assert seen.points == [(2.0, 30_000.0), (4.0, 60_000.0)]
    assert seen.quota == 60_000


def test_a_stage_that_sends_too_follows_the_one_before_it() -> None:
    seen = Throughput()
    seen.see(_advance("sentences", 2.0, 100))
    seen.see(_advance("embed", 0.0, 0))
    seen.see(_advance("embed", 1.0, 50))
    assert seen.points == [(2.0, 3000.0), (3.0, 3000.0)]


def test_the_end_counts_however_soon_it_comes_and_stages_that_send_nothing_do_not() -> None:
    seen = Throughput()
    seen.see(Advance("split", 1, 2))
    seen.see(_advance("embed", 0.5, 100, done=10))
    assert seen.points == [(0.5, 12_000.0)]


def test_the_plot_names_the_quota_and_asks_no_host() -> None:
    seen = Throughput([(1.0, 100.0), (60.0, 55_000.0)], quota=60_000)
    svg = _svg(seen)
    assert "quota 60,000" in svg
    assert "60 s" in svg
    assert re.findall(r"https?://[^\"]+", svg) == ["http://www.w3.org/2000/svg"]
    assert Throughput().image() == ""


@given(st.lists(st.tuples(st.floats(0.01, 1e5), st.integers(1, 10**9)), min_size=1, max_size=1500))
def test_any_run_gives_a_small_well_formed_plot_whose_line_stays_inside(
    steps: list[tuple[float, int]],
) -> None:
    seen, seconds, tokens = Throughput(), 0.0, 0
    for passed, more in steps:
        seconds, tokens = seconds + passed, tokens + more
        seen.see(_advance("embed", seconds, tokens))
    seen.see(_advance("embed", seconds + 1, tokens + 1, done=10))
    root = ElementTree.fromstring(_svg(seen))
    [line] = root.findall("{http://www.w3.org/2000/svg}polyline")
    pairs = [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]
    assert all(0 <= x <= 640 and 0 <= y <= 220 for x, y in pairs)
    assert len(pairs) <= 402
