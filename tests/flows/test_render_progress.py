"""A run's progress, where no terminal is."""

import pytest

from flows.render_progress import Bars
from pipeline.ports import Advance
from tests.endpoint.probe import Clock

Captured = pytest.CaptureFixture[str]


def test_a_log_gets_a_line_every_ten_seconds_and_a_short_run_none(capsys: Captured) -> None:
    clock = Clock()
    with Bars(quiet=False, clock=clock) as bars:
        for done, seconds in enumerate((0, 9.9, 0.2, 5, 4, 2)):
            clock.now += seconds
            bars(Advance("split", done, 9))
    assert capsys.readouterr() == ("", "split: 2 of 9\nsplit: 5 of 9\n")


@pytest.mark.parametrize(("quiet", "plain"), [(True, True), (False, False)])
def test_nobody_is_told_who_does_not_want_to_be(quiet: bool, plain: bool, capsys: Captured) -> None:
    clock = Clock()
    with Bars(quiet, plain=plain, clock=clock) as bars:
        for done in range(5):
            clock.now += 100
            bars(Advance("split", done, 5))
    assert capsys.readouterr() == ("", "")
