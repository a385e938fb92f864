"""Packs texts into requests within the provider's bounds."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from pipeline.job import Endpoint
from pipeline.model import Request
from pipeline.ports import Limits

# A minute's tokens are used up to less than a request: so small a share of them is lost at most.
_SHARE_OF_MINUTE = 300
_WINDOW = 4096  # texts that are packed at a time


class Text(NamedTuple):
    """A text to embed."""

    text_hash: str
    tokens: int
    text: str


def pack(texts: Iterable[Text], limits: Limits, endpoint: Endpoint) -> Iterator[Request]:
    """Fill requests up to the number of inputs and of tokens allowed, some thousand texts at a time.

    The packing follows from the texts' tokens alone, so that a plan made without the texts counts
    the requests exactly.
    """
    inputs = min(limits.inputs, endpoint.batch_inputs or limits.batch)
    most = _tokens_a_request(limits, endpoint)
    number, rest, texts, many = 0, list[Text](), iter(texts), max(_WINDOW, 4 * inputs)
    while window := [*rest, *islice(texts, many - len(rest))]:
        batches = list(_filled(window, inputs, most))
        # What the last one holds may find company in the next window.
        rest = batches.pop() if len(window) == many and len(batches) > 1 else []
        for batch in batches:
            yield _request(number, batch)
            number += 1


def _tokens_a_request(limits: Limits, endpoint: Endpoint) -> int:
    """The most tokens in a request: few of a minute's, but so many that its requests suffice for all."""
    if endpoint.tpm is None:
        return limits.tokens
    share = endpoint.tpm // _SHARE_OF_MINUTE
    if endpoint.rpm:
        share = max(share, -(-endpoint.tpm // endpoint.rpm))
    return min(limits.tokens, max(1, share))


def _filled(window: list[Text], inputs: int, most: int) -> Iterator[list[Text]]:
    """Batches of texts: as they come, or where tokens are what bounds them, the longest first.

    What they leave free is filled with the shortest.
    """
    if sum(text.tokens for text in window) * inputs > len(window) * most:
        window = sorted(window, key=lambda text: -text.tokens)
    first, last = 0, len(window)
    while first < last:
        stop, tokens = _reach(window, first, min(last, first + inputs), most)
        batch = window[first:stop]
        first = stop
        while first < last and len(batch) < inputs and tokens + window[last - 1].tokens <= most:
            last -= 1
            batch.append(window[last])
            tokens += window[last].tokens
        yield batch


def _reach(window: Sequence[Text], first: int, end: int, most: int) -> tuple[int, int]:
    """How far texts from a first one fit into a request, at least that one; and their tokens."""
    tokens = window[first].tokens
    for place in range(first + 1, end):
        if tokens + window[place].tokens > most:
            return place, tokens
        tokens += window[place].tokens
    return end, tokens


def _request(number: int, batch: list[Text]) -> Request:
    hashes, sizes, texts = zip(*batch, strict=True)
    return Request(number, texts, hashes, sum(sizes))
