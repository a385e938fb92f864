"""A process that kills itself at some line of a stage, or a moment after it: for tests of what is left.

    python -m tests.chaos.victim STORE FOLDER STAGE LINE SECONDS

STAGE is one of a run, or `maintain`. With LINE 0 it lives, and prints how many lines of ours the stage has.
"""

import os
import signal
import sys
import threading
from contextlib import nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

from pipeline.engine import InlineEngine
from pipeline.objects import Objects
from pipeline.run import ingest
from pipeline.store.keep import Keep
from pipeline.upkeep import Upkeep
from tests.support import job_for

KEEP = Keep(versions=2, days=0, grace=0, cache_size=20_000)
_OURS = str(Path(__file__).parents[2] / "pipeline")


class Fate:
    """Counts the lines of ours that are reached in one stage, and ends the process at one of them."""

    def __init__(self, stage: str, line: int, seconds: float) -> None:
        self.lines = 0
        self._stage = stage
        self._line = line
        self._seconds = seconds

    def run(self, stage: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Run a stage; the fatal one is watched."""
        if stage.__name__ != self._stage:
            return stage(*args, **kwargs)
        sys.settrace(self._entered)
        threading.settrace(self._entered)
        try:
            return stage(*args, **kwargs)
        finally:
            sys.settrace(None)

    def _entered(self, frame: FrameType, event: str, _: Any) -> Any:
        return self._reached if frame.f_code.co_filename.startswith(_OURS) else None

    def _reached(self, frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            self.lines += 1
            if self.lines == self._line:
                # After a moment the process may be deep in a library.
                threading.Timer(self._seconds, _die).start() if self._seconds else _die()
        return self._reached


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Do as the arguments say."""
    store, folder, stage, line, seconds = sys.argv[1:]
    fate = Fate(stage, int(line), float(seconds))
    if stage == "maintain":

        def maintain() -> Any:
            return Upkeep(Objects(store), KEEP).run()

        fate.run(maintain)
    else:
        ingest(job_for(Path(folder), store), lambda _: nullcontext(InlineEngine()), fate.run)
    print(fate.lines)


if __name__ == "__main__":
    main()
