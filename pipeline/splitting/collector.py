"""Python's collector of cycles, kept from a large text's pieces.

While these are made it would go through all of them again and again, a fifth of the time, and find nothing:
they make no cycles.
"""

import gc

_LARGE = 1_000_000  # characters


class Uncollected:
    """While it is entered, nothing is collected, if a text is large. Threads may enter it at once."""

    def __init__(self, text: str) -> None:
        self._stops = len(text) > _LARGE and gc.isenabled()

    def __enter__(self) -> None:
        if self._stops:
            gc.disable()

    def __exit__(self, *raised: object) -> None:
        if self._stops:
            gc.enable()
