"""Packs texts into requests within the provider's bounds."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pipeline.model import Endpoint, Request
from pipeline.ports import Limits

# A request must not wait for more than this share of a minute's tokens to gather.
_SHARE_OF_MINUTE = 6


class Text(NamedTuple):
    """A text to embed."""

    text_hash: str
    tokens: int
    text: str


def pack(texts: Iterable[Text], limits: Limits, endpoint: Endpoint) -> Iterator[Request]:
    """Fill requests in the order given, up to the number of inputs and of tokens allowed.

    The packing follows from the texts' tokens alone, so that a plan made without the texts counts
    the requests exactly.
    """
    inputs = min(limits.inputs, endpoint.batch_inputs or limits.batch)
    most = limits.tokens
    if endpoint.tpm:
        most = min(most, max(1, endpoint.tpm // _SHARE_OF_MINUTE))
    batch: list[Text] = []
    tokens = number = 0
    for text in texts:
        if batch and (len(batch) == inputs or tokens + text.tokens > most):
            yield _request(number, batch, tokens)
            number += 1
            batch, tokens = [], 0
        batch.append(text)
        tokens += text.tokens
    if batch:
        yield _request(number, batch, tokens)


def _request(number: int, batch: list[Text], tokens: int) -> Request:
    texts = tuple(text.text for text in batch)
    return Request(number, texts, tuple(text.text_hash for text in batch), tokens)
