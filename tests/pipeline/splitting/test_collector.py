"""The collector stands still while a large text is cut, and not a moment longer."""

import gc

import pytest

from pipeline.splitting.collector import Uncollected

_LARGE = "a" * 1_000_001


def test_nothing_is_collected_while_a_large_text_is_cut() -> None:
    with Uncollected(_LARGE):
        assert not gc.isenabled()
        with Uncollected(_LARGE):
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_the_collector_goes_on_after_an_error() -> None:
    with pytest.raises(ValueError, match="broken"), Uncollected(_LARGE):
        raise ValueError("broken")
    assert gc.isenabled()


def test_a_small_text_and_a_collector_that_was_off_leave_it_as_it_is() -> None:
    with Uncollected("a"):
        assert gc.isenabled()
    gc.disable()
    try:
        with Uncollected(_LARGE):
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
