"""OpenAI's tokens, counted by toktok, a tokenizer in Rust that carries the vocabulary."""

import re
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from pipeline.tokens.surrogates import without_surrogates

_ENCODING = "cl100k_base"
# To truncate at so many is to count all: batch_count starts a thread a call, and is no faster a text.
_ALL = 2**62


class OpenAITokens:
    """Counts with OpenAI's cl100k_base, the encoding of all its embedding models; exact.

    What looks like a special token (<|endoftext|>) is counted as the text it is, as the endpoint does.
    A lone surrogate is counted as three tokens. The letters that Unicode 17 added are letters here and not
    yet in tiktoken 0.14, which can give a text that has them a token more.
    """

    # What the encoding cuts a text into before it makes tokens: words with what is before them, runs of
    # marks with the line ends behind them, white space up to the last line end. None of it goes on here.
    seam = re.compile(
        r"(?<=[A-Za-z0-9])(?=[\x00-/:-@\[-`{-\x7f])|(?<=\n)(?=\S)|(?<=[ぁ-ゖァ-ヺー一-龥])(?=[、。」』）\s])"
    )

    def count(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens of each text."""
        import toktok

        try:
            return [toktok.truncate(text, _ALL, _ENCODING)[1] for text in texts]
        except UnicodeEncodeError:
            return [toktok.truncate(without_surrogates(text), _ALL, _ENCODING)[1] for text in texts]

    def ends(self, text: str) -> npt.NDArray[np.uint32]:
        """Where each token ends."""
        encode, signs = _encoder()
        try:
            ids = encode(text, disallowed_special=())
        except UnicodeEncodeError:
            ids = encode(without_surrogates(text), disallowed_special=())
        return signs.take(ids, mode="wrap").cumsum(dtype=np.uint32)  # that way numpy does not check them


@cache
def _encoder() -> tuple[Callable[..., npt.NDArray[np.uint32]], npt.NDArray[np.uint32]]:
    """What gives a text's tokens, and how many characters begin in each."""
    import toktok

    encoding = toktok._encoding(_ENCODING)  # for "the full encode surface", which has no public name
    spelt = encoding.token_byte_values()
    sizes = np.fromiter(map(len, spelt), np.int64, len(spelt))
    begins = np.frombuffer(b"".join(spelt), np.uint8) & 0xC0 != 0x80
    return encoding.encode_to_numpy, np.add.reduceat(begins, sizes.cumsum() - sizes, dtype=np.uint32)
