"""Who hears how far a run has come, when the run is a flow in this process."""

from contextvars import ContextVar

from pipeline.ports import Progress, silent

_listener: ContextVar[Progress] = ContextVar("progress", default=silent)


def listen(progress: Progress) -> None:
    """Let flows that start in this context tell their progress."""
    _listener.set(progress)


def listener() -> Progress:
    """Whom to tell."""
    return _listener.get()
