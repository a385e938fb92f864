"""The embedded model's tokens, counted with its own tokenizer."""

from collections.abc import Sequence

from pipeline import wordllama
from pipeline.tokens.surrogates import without_surrogates

_WIDTH = 8  # characters a token in the first look: prose has three to four


class LocalTokens:
    """Counts with the embedded model's own tokenizer; exact. A lone surrogate is three tokens."""

    def count(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens of each text."""
        encodings = wordllama.tokenizer().encode_batch_fast(
            [without_surrogates(text) for text in texts], add_special_tokens=False
        )
        return [len(encoding) for encoding in encodings]

    def take(self, text: str, tokens: int) -> int:
        """How many characters from a text's start come to at most so many tokens."""
        if tokens < 1:
            return 0
        width = _WIDTH * tokens
        while True:
            window = without_surrogates(text[:width])
            offsets = wordllama.tokenizer().encode(window, add_special_tokens=False).offsets
            if len(offsets) > tokens or width >= len(text):
                break
            width *= 4
        taken = offsets[tokens][0] if len(offsets) > tokens else len(text)
        while taken and self.count([text[:taken]])[0] > tokens:
            taken -= 1
        return taken
