"""The command line inside this process: quicker than a process of its own."""

import pytest

from flows.cli import _run
from tests.support import Ran


def vecmill_here(capsys: pytest.CaptureFixture[str], *words: str) -> Ran:
    """Run a command; gives its exit code and what it alone printed."""
    capsys.readouterr()
    code = _run(list(words))
    return Ran(code, *capsys.readouterr())
