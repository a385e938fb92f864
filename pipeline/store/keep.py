"""Which versions of a table are to stay readable, and how much of what was paid for."""

from dataclasses import dataclass

from pipeline.errors import InputError


@dataclass(frozen=True, slots=True)
class Keep:
    """What is kept: a version goes only when no part of this keeps it."""

    versions: int = 20  # the newest so many
    days: float = 30.0  # and all that were live within so many days
    grace: float = 24.0  # hours for which what readers and runs may still use stays, whatever else is said
    cache_size: int | None = None  # bytes of all vector caches together; None: all that was ever paid for

    def __post_init__(self) -> None:
        if self.versions < 1:
            raise InputError(
                f"{self.versions} versions are to be kept; the live one always is, so at least 1"
            )
        if self.cache_size is not None and self.cache_size < 0:
            raise InputError("the size of the cache cannot be below 0")
        if self.days < 0 or self.grace < 0:
            raise InputError("days and hours to keep versions cannot be below 0")
