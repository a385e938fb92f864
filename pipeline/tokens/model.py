"""The tokens of a model in a folder, counted by its own tokenizer."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.local_models.folder import tokenizer_at
from pipeline.tokens.surrogates import without_surrogates


@dataclass(frozen=True, slots=True)
class ModelTokens:
    """Counts with a model's own tokenizer; exact. What the model puts around each text is not counted."""

    file: Path  # tokenizer.json

    def count(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens of each text."""
        tokenizer = tokenizer_at(self.file)
        try:
            encodings = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        except TypeError:
            clean = [without_surrogates(text) for text in texts]
            encodings = tokenizer.encode_batch_fast(clean, add_special_tokens=False)
        return [len(encoding) for encoding in encodings]
