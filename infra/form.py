"""What all forms are made of."""

import re
from contextlib import suppress

from pydantic import (
    BaseModel,
    ConfigDict,
)

# Written like 90, 90s, 15m or 1h30m.
_DURATION = re.compile(r"(?:(\d+)d)?\s*(?:(\d+)h)?\s*(?:(\d+)m)?\s*(?:(\d+(?:\.\d+)?)s)?")


def seconds(text: str) -> float:
    """A time that a person has written; raises ValueError where it is none."""
    with suppress(ValueError):
        return float(text)
    found = _DURATION.fullmatch(text.strip())
    if not found or not any(found.groups()):
        raise ValueError(f"{text!r} is no time; write seconds, or such as 90s, 15m or 1h30m")
    parts = [float(part or 0) for part in found.groups()]
    return sum(part * unit for part, unit in zip(parts, (86400, 3600, 60, 1), strict=True))


class Form(BaseModel):
    """A form: it takes no field that it does not know, and does not change."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        model_title_generator=lambda form: form.__name__.removesuffix("Config"),  # as the dashboard heads it
    )
