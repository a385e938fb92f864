"""Embedding spaces: what makes two vectors comparable."""

import re
from dataclasses import asdict, dataclass, field, replace

from pipeline import ids
from pipeline.errors import InputError

HERE = ("local", "onnx", "sentence-transformers")
"""The providers that are models on this machine."""

_ADAPTER = re.compile("[0-9a-f]{12}")

POOLINGS = ("mean", "cls", "last", "none")
"""How the vectors of tokens become that of a text; "none": the model has done it."""


@dataclass(frozen=True, slots=True)
class Space:
    """An embedding space: everything that makes two vectors comparable."""

    provider: str
    model: str
    dimensions: int
    document_prefix: str = ""
    query_prefix: str = ""
    normalised: bool = True
    pooling: str = ""  # onnx: one of POOLINGS; "" where the graph does it
    matryoshka: bool = False  # whether the model's vectors are cut to fewer dimensions
    weights: str = ""  # a hash of what is in a model's folder: another model has another space
    adapter: str = ""  # a hash of the matrix that turns the model's vectors; "" where none does
    folder: str = field(default="", compare=False)  # where the model is on this machine

    @property
    def name(self) -> str:
        """The space as people write it: provider/model@dimensions, and +adapter where it has one."""
        turned = f"+{self.adapter}" if self.adapter else ""
        return f"{self.provider}/{self.model}@{self.dimensions}{turned}"

    @property
    def base(self) -> "Space":
        """The space of the model's own vectors: what is paid for, and kept in the cache."""
        return replace(self, adapter="") if self.adapter else self

    @property
    def remote(self) -> bool:
        """Whether texts are sent to an endpoint, which limits and bills."""
        return self.provider not in HERE

    @property
    def fingerprint(self) -> str:
        """Names the space, wherever its model lies: vectors of two fingerprints are never compared."""
        values = {name: value for name, value in asdict(self).items() if name != "folder"}
        return ids.fingerprint({name: value for name, value in values.items() if name != "adapter" or value})

    @classmethod
    def parse(cls, name: str) -> "Space":
        """Read `provider/model@dimensions` or `…+adapter`; the model may itself contain slashes."""
        provider, slash, rest = name.partition("/")
        model, at, size = rest.rpartition("@")
        dimensions, plus, adapter = size.partition("+")
        if not (
            provider
            and slash
            and model
            and at
            and dimensions.isascii()
            and dimensions.isdecimal()
            and int(dimensions)
            and (not plus or _ADAPTER.fullmatch(adapter))
        ):
            raise InputError(
                f"{name!r} is no embedding space; write provider/model@dimensions, "
                "for example local/wordllama@256 or openai/text-embedding-3-small@1536"
            )
        return cls(provider, model, int(dimensions), adapter=adapter)
