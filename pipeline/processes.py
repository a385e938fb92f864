"""Whether a process of this machine is still there."""

import os


def is_alive(pid: int) -> bool:
    """Whether there is a process of this number; it may be another than the one that once had it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
