"""Which splitter, with which parameters: data that names how a table's documents are cut."""

import math
from dataclasses import asdict, dataclass

from pipeline import ids
from pipeline.errors import InputError

# How the semantic splitter finds breaks (`splitting.breakpoints`), and the usual threshold of each: those of
# LangChain's SemanticChunker, and for the best segmentation the one that found most of the right breaks.
BREAKPOINTS = {
    "optimal": 1.6,
    "percentile": 95.0,
    "standard_deviation": 3.0,
    "interquartile": 1.5,
    "gradient": 95.0,
}


@dataclass(frozen=True, slots=True)
class SplitterSpec:
    """Which splitter, with which parameters.

    A bound is in tokens of the space's tokenizer, or in characters where `max_characters` is given; it
    is of the embedded text, with what stands in front of it.
    """

    kind: str = "markdown"  # "markdown", "recursive", "semantic", "sentence", "fixed", "html" or "code"
    max_tokens: int = 256
    overlap_tokens: int = 0
    prefix_headings: bool = True  # markdown, html, code: put what is above before the embedded text
    max_characters: int | None = None  # the bound in place of max_tokens
    overlap_characters: int = 0  # the overlap in place of overlap_tokens
    repeat_table_header: bool = True  # markdown: and a broken table's header before its later pieces
    join_sections: bool = False  # markdown: pack small neighbours under one parent together
    separators: tuple[str, ...] = ()  # recursive: in place of the default ones, coarse to fine
    separators_are_regex: bool = False
    keep_separator: str = "start"  # "start" or "end" of the piece it belongs to, or "drop"
    langchain: bool = False  # recursive: LangChain's chunks, where its behaviour is no bug
    breakpoints: str = "optimal"  # semantic: how breaks are found, one of BREAKPOINTS
    threshold: float | None = None  # semantic: of `breakpoints`; None for its usual one
    buffer: int = 3  # semantic: sentences before and behind a break that distances are told from
    min_tokens: int = 0  # semantic: chunks below it join their nearer neighbour
    language: str = ""  # code: of the source text; "" tells it by the text's file name

    def __post_init__(self) -> None:
        object.__setattr__(self, "separators", tuple(self.separators))  # JSON knows lists only
        if self.max_tokens < 8:
            raise InputError(f"max_tokens is {self.max_tokens}; chunks need at least 8 tokens")
        if self.max_characters is not None and self.max_characters < 1:
            raise InputError(f"max_characters is {self.max_characters}; chunks need at least 1 character")
        name = "tokens" if self.max_characters is None else "characters"
        if self.max_characters is not None and not 0 <= self.overlap_characters < self.max_characters:
            raise InputError(
                f"overlap_characters is {self.overlap_characters}; it must be at least 0 and "
                f"less than max_characters ({self.max_characters})"
            )
        if not 0 <= self.overlap_tokens <= self.max_tokens // 2:
            raise InputError(
                f"overlap_tokens is {self.overlap_tokens}; it must lie between 0 and "
                f"half of max_tokens ({self.max_tokens // 2})"
            )
        if self.kind == "semantic":
            self._check_breakpoints(name)

    def _check_breakpoints(self, name: str) -> None:
        if self.breakpoints not in BREAKPOINTS:
            raise InputError(
                f"there are no breakpoints {self.breakpoints!r}; choose one of {', '.join(BREAKPOINTS)}"
            )
        most = 100.0 if self.breakpoints in ("percentile", "gradient") else math.inf
        if not 0 <= self.limit <= most:
            raise InputError(
                f"the threshold is {self.limit:g}; for {self.breakpoints} it is "
                f"{'a percentile, from 0 to 100' if most == 100 else '0 or more'}"
            )
        if self.buffer < 1:
            raise InputError(f"buffer is {self.buffer}; at least 1 sentence has to be compared")
        if not 0 <= self.min_tokens <= self.bound // 2:
            raise InputError(
                f"min_tokens is {self.min_tokens}; it must lie between 0 and "
                f"half of max_{name} ({self.bound // 2})"
            )

    @property
    def limit(self) -> float:
        """The threshold that tells semantic breaks: the spec's own, or the usual one."""
        return BREAKPOINTS[self.breakpoints] if self.threshold is None else self.threshold

    @property
    def bound(self) -> int:
        """What a chunk may measure at most, in tokens or in characters."""
        return self.max_tokens if self.max_characters is None else self.max_characters

    @property
    def overlap(self) -> int:
        """What neighbours may share at most, in the bound's unit."""
        return self.overlap_tokens if self.max_characters is None else self.overlap_characters

    @property
    def fingerprint(self) -> str:
        """Names the spec; part of each chunk's identity."""
        return ids.fingerprint(asdict(self))

    @property
    def name(self) -> str:
        """The spec as people read it."""
        overlap = f"+{self.overlap}" if self.overlap else ""
        return f"{self.kind}/{self.bound}{overlap}{'' if self.max_characters is None else ' characters'}"
