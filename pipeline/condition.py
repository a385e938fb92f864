"""Conditions on what a comparison has measured: "recall@10>=0.9, search_ms<=live"."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import ge, gt, le, lt

from pipeline.errors import InputError

_PART = re.compile(
    r"\s*(?P<name>[a-z_]+(?:@[0-9]+)?)\s*(?P<sign><=|>=|<|>)\s*"
    r"(?P<live>live)?\s*(?P<number>[+-]?\s*[0-9]+(?:\.[0-9]+)?)?\s*"
)
_SIGNS: dict[str, Callable[[float, float], bool]] = {"<=": le, ">=": ge, "<": lt, ">": gt}


@dataclass(frozen=True, slots=True)
class Condition:
    """One measure of the new generation against a number, or against the live one's."""

    text: str
    name: str
    sign: str
    of_live: bool  # whether `bound` is added to what the live generation has
    bound: float

    @classmethod
    def parse(cls, text: str) -> tuple["Condition", ...]:
        """Read conditions, parted by commas; all of them have to hold."""
        return tuple(map(cls._parse, text.split(",")))

    @classmethod
    def _parse(cls, text: str) -> "Condition":
        found = _PART.fullmatch(text)
        if not found or not (found["live"] or found["number"]):
            raise InputError(
                f"{text.strip()!r} is no condition; write a measure, a sign and a number, such as "
                "overlap@10>=0.8, or the live generation's value, such as recall@10>=live-0.01"
            )
        number = float((found["number"] or "0").replace(" ", ""))
        return cls(text.strip(), found["name"], found["sign"], bool(found["live"]), number)

    def failure(self, new: Mapping[str, float], live: Mapping[str, float]) -> str | None:
        """Why the condition does not hold; None where it does. Raises InputError for an unknown measure."""
        for known in (new, live) if self.of_live else (new,):
            if self.name not in known:
                raise InputError(
                    f"{self.text!r} asks for {self.name}, which is not measured here; there are "
                    f"{', '.join(known)}. What is labelled needs --queries and --qrels"
                )
        bound = self.bound + (live[self.name] if self.of_live else 0.0)
        value = new[self.name]
        return (
            None
            if _SIGNS[self.sign](value, bound)
            else f"{self.name} is {value:g}, wanted is {self.sign}{bound:g}"
        )
