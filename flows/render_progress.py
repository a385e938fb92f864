"""A run's progress on stderr: bars on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Callable, Iterable

from rich.console import RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from flows.options import Common
from flows.render import err
from pipeline.ports import Advance
from tasks.figures import figures, line, said

_EVERY_SECONDS = 10.0  # a line in a log; a run of less writes none
_BELOW = (("tokens", "spent", "left"), ("tokens a minute", "requests a minute", "retries"))


class Bars:
    """A run's progress: a bar a stage on a terminal, and below it what the sending comes to."""

    def __init__(
        self, quiet: bool, *, plain: bool = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Bars on a terminal, unless `quiet`; lines elsewhere, where they are wanted `plain`."""
        self._bars = _Live(
            TextColumn("{task.description:<9}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=err,
            disable=quiet or not err.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._writes = plain and not quiet and not err.is_terminal
        self._clock = clock
        self._written = clock()

    @classmethod
    def of(cls, common: Common) -> "Bars":
        """The progress that a command shows: a program that reads JSON reads no lines beside it."""
        return cls(common.quiet, plain=not common.json)

    def __enter__(self) -> "Bars":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.below = ""
        self._bars.stop()

    def __call__(self, advance: Advance, /) -> None:
        """Take how far a stage has come."""
        if self._writes:
            self._write(advance)
            return
        if advance.stage not in self._tasks:
            self._tasks[advance.stage] = self._bars.add_task(advance.stage, total=advance.total)
        found = figures(advance)
        told = (", ".join(said(name, found[name]) for name in names if name in found) for names in _BELOW)
        self._bars.below = "\n".join(filter(None, told))
        self._bars.update(self._tasks[advance.stage], completed=advance.done, total=advance.total)

    def _write(self, advance: Advance) -> None:
        now = self._clock()
        if now - self._written >= _EVERY_SECONDS:
            self._written = now
            err.print(f"{advance.stage}: {line(advance)}")


class _Live(Progress):
    """Bars with lines below."""

    below = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        """The bars, then the lines."""
        yield from super().get_renderables()
        if self.below:
            yield Text(self.below, style="dim")
