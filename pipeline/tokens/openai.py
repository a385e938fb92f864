"""OpenAI's tokens, counted by toktok, a tokenizer in Rust that carries the vocabulary."""

from collections.abc import Sequence

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

    def count(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens of each text."""
        import toktok

        try:
            return [toktok.truncate(text, _ALL, _ENCODING)[1] for text in texts]
        except UnicodeEncodeError:
            return [toktok.truncate(without_surrogates(text), _ALL, _ENCODING)[1] for text in texts]
