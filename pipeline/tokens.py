"""Token counters: how many tokens a provider will see, counted offline."""

import re
from collections.abc import Callable, Sequence
from functools import cache

from pipeline import wordllama
from pipeline.model import Space
from pipeline.ports import TokenCounter

_CL100K_MODELS = frozenset({"text-embedding-3-small", "text-embedding-3-large", "text-embedding-ada-002"})

# The tokenizer refuses texts beyond 200,000 tokens; a token has at least one byte, a character at most
# four. No token of this encoding reaches over a line's end into the next line's first word.
_SLICE = 50_000
_SLICES = re.compile(rf".{{1,{_SLICE - 1}}}(?:\n(?=\S)|\Z)|.{{1,{_SLICE}}}", re.DOTALL)


class LocalTokens:
    """Counts with the embedded model's own tokenizer; exact."""

    def count(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens of each text."""
        encodings = wordllama.tokenizer().encode_batch_fast(list(texts), add_special_tokens=False)
        return [len(encoding) for encoding in encodings]


class OpenAITokens:
    """Counts with OpenAI's cl100k_base, the encoding of all its embedding models.

    Exact, but where 50,000 characters have no line's end to slice them at: the sum of the slices can
    then be off by a few tokens a slice.
    """

    def count(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens of each text."""
        encode = _cl100k()
        return [sum(len(encode(part)) for part in _slices(text)) for text in texts]


class EstimatedTokens:
    """Estimates, for models whose tokenizer is not to be had.

    min(bytes, 0.5 a ASCII character + 1.5 any other + 8): bytes are the bound of every byte-level
    tokenizer; the second term lay 1.2 to 2.7 times over the truth on English and Japanese prose.
    Digits, base64 and emoji can have more.
    """

    def count(self, texts: Sequence[str]) -> list[int]:
        """Estimate the tokens of each text."""
        return [self._estimate(text) for text in texts]

    def _estimate(self, text: str) -> int:
        size = len(text.encode("utf-8", "surrogatepass"))
        wide = len(text) - len(text.encode("ascii", "ignore"))
        return min(size, (len(text) + 2 * wide + 1) // 2 + 8)


def counter_for(space: Space) -> TokenCounter:
    """The most exact counter there is for a space."""
    if space.provider == "local":
        return LocalTokens()
    if space.model in _CL100K_MODELS:
        return OpenAITokens()
    return EstimatedTokens()


def _slices(text: str) -> Sequence[str]:
    return _SLICES.findall(text) if len(text) > _SLICE else (text,)


@cache
def _cl100k() -> Callable[[str], list[int]]:
    import bpe_openai

    encode: Callable[[str], list[int]] = bpe_openai.get_encoding("cl100k_base").encode_ordinary
    return encode
