"""Packs requests into the files of batches."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.model import Request


class Sized(NamedTuple):
    """A request, and the size of its line in a file."""

    request: Request
    size: int  # bytes


@dataclass(slots=True)
class Bounds:
    """How large a batch may be; `tokens` may change while files are packed."""

    inputs: int
    size: int  # bytes
    tokens: int | None = None  # None: as many as there are


def pack_files(lines: Iterable[Sized], bounds: Bounds) -> Iterator[list[Sized]]:
    """Fill files in the order given; a request beyond a bound by itself is a file by itself.

    Lazily: no more is taken than fits into the next file, and one.
    """
    file: list[Sized] = []
    inputs = size = tokens = 0
    for line in lines:
        request = line.request
        over = (
            inputs + len(request.texts) > bounds.inputs
            or size + line.size > bounds.size
            or (bounds.tokens is not None and tokens + request.tokens > bounds.tokens)
        )
        if file and over:
            yield file
            file = []
            inputs = size = tokens = 0
        file.append(line)
        inputs += len(request.texts)
        size += line.size
        tokens += request.tokens
    if file:
        yield file
