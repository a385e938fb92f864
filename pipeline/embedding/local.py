"""The embedded default: a static model on this machine, no key, no network."""

import asyncio
from collections.abc import Sequence

import numpy as np

from pipeline import wordllama
from pipeline.embedding.vectors import normalised
from pipeline.errors import InputError, Rejected, Retryable
from pipeline.job import Endpoint
from pipeline.ports import Embedded, Limits
from pipeline.space import Space


class LocalProvider:
    """Embeds with the mean of the tokens' vectors, cut to the space's dimensions and normalised."""

    limits = Limits(inputs=1024, tokens=200_000, tokens_an_input=1_000_000, batch=512)

    def __init__(self, space: Space, _: Endpoint) -> None:
        if space.model != wordllama.MODEL or space.dimensions not in wordllama.DIMENSIONS:
            choices = ", ".join(f"local/{wordllama.MODEL}@{n}" for n in wordllama.DIMENSIONS)
            raise InputError(f"there is no local space {space.name}; choose one of {choices}")
        self._space = space

    async def embed(self, texts: Sequence[str]) -> Embedded:
        """Embed texts; the work is done beside the event loop, which goes on answering."""
        return await asyncio.to_thread(self._embed, texts)

    async def close(self) -> None:
        """Nothing is held open."""

    def _embed(self, texts: Sequence[str]) -> Embedded:
        try:
            encodings = wordllama.tokenizer().encode_batch_fast(list(texts), add_special_tokens=False)
        except TypeError:
            raise Rejected("the text has lone surrogates, which are no characters") from None
        lengths = np.array([len(encoding) for encoding in encodings])
        if not lengths.all():
            raise Rejected("the text is empty")
        tokens = np.concatenate([np.asarray(encoding.ids, dtype=np.int32) for encoding in encodings])
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        prefixes = wordllama.weights()[:, : self._space.dimensions]
        means = np.add.reduceat(prefixes[tokens], starts, axis=0) / lengths[:, None]
        try:
            vectors = normalised(means, len(texts), self._space.dimensions)
        except Retryable as error:
            raise Rejected(str(error)) from error  # the same text gives the same vector: no use retrying
        return Embedded(vectors, int(lengths.sum()))
