"""Token counters: how many tokens a provider will see, counted offline."""

from pipeline.local_models import NEEDS, open_model
from pipeline.local_models.folder import TOKENIZER
from pipeline.ports import TokenCounter
from pipeline.space import Space
from pipeline.tokens.estimated import EstimatedTokens
from pipeline.tokens.local import LocalTokens
from pipeline.tokens.model import ModelTokens
from pipeline.tokens.openai import OpenAITokens

__all__ = ["EstimatedTokens", "LocalTokens", "ModelTokens", "OpenAITokens", "counter_for"]

_CL100K_MODELS = frozenset({"text-embedding-3-small", "text-embedding-3-large", "text-embedding-ada-002"})


def counter_for(space: Space) -> TokenCounter:
    """The most exact counter there is for a space."""
    if space.provider == "local":
        return LocalTokens()
    if space.provider in NEEDS:
        return ModelTokens(open_model(space).path / TOKENIZER)
    if space.model in _CL100K_MODELS:
        return OpenAITokens()
    return EstimatedTokens()
