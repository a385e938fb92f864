"""Models of sentence-transformers, run by torch."""

import copy
import warnings
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers import SentenceTransformer
from transformers.utils.logging import disable_progress_bar

from pipeline.embedding.by_length import padded
from pipeline.embedding.resident import CPU_TOKENS, GPU_TOKENS, Resident, ResidentProvider, Tokens
from pipeline.errors import InputError
from pipeline.job import Endpoint
from pipeline.local_models import ModelFolder
from pipeline.space import Space

HALF_TOLERANCE = 1e-4
"""By how much the cosine of a float16 vector with the float32 one may fall short of 1."""

_PROBES = ("Rivers carry water.", "川は水を運ぶ。", "É, naïve Ŝtono: 1,234.5 " * 8)


class TorchProvider(ResidentProvider):
    """Embeds with the library's modules, but batches that are its own."""

    def __init__(self, space: Space, endpoint: Endpoint) -> None:
        super().__init__(space, endpoint, load)


@lru_cache(maxsize=1)
def load(model: ModelFolder, _weights: str, _pooling: str, threads: int) -> Resident:
    """Load a model, once a process; raises InputError where it cannot be used."""
    kind = device()
    library = loaded(model, kind)
    rows = [encoding.ids for encoding in model.tokenizer.encode_batch_fast(list(_PROBES))]
    if library.tokenizer(list(_PROBES), truncation=False)["input_ids"] != rows:
        raise InputError(
            f"{model.name}: tokenizer.json and the other files in {model.path} make two different "
            "tokenizers; save the model anew with sentence-transformers"
        )
    if kind == "cpu":
        return Resident(_Modules(library), kind, CPU_TOKENS, threads, _one_thread)
    probes = padded(rows, model.padding)
    return Resident(halved(_Modules(library), *probes), kind, GPU_TOKENS, 1)


def loaded(model: ModelFolder, kind: str) -> Any:
    """A model as the library has it, in float32, on a kind of device; raises InputError where it cannot."""
    disable_progress_bar()  # it draws on stderr, where ours is
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            library = SentenceTransformer(str(model.path), device=kind, local_files_only=True)
    except Exception as error:  # whatever the library raises for a folder that it cannot read
        raise InputError(f"{model.name}: {model.path} cannot be loaded: {error}") from error
    return library.eval().float()


class _Modules:
    """The library's modules as one function."""

    def __init__(self, library: Any) -> None:
        self.library = library

    def __call__(self, tokens: Tokens, mask: Tokens) -> npt.NDArray[np.floating]:
        """The vectors of texts."""
        device = self.library.device
        given = {"input_ids": tokens, "attention_mask": mask}
        with torch.inference_mode():
            found = self.library({name: torch.from_numpy(of).to(device) for name, of in given.items()})
            vectors: npt.NDArray[np.floating] = found["sentence_embedding"].float().cpu().numpy()
        return vectors


def halved(modules: _Modules, tokens: Tokens, mask: Tokens) -> _Modules:
    """The modules in float16, where vectors of probes stay within HALF_TOLERANCE; else as they are."""
    half = _Modules(copy.deepcopy(modules.library).half())
    wide, narrow = (made(tokens, mask).astype(np.float64) for made in (modules, half))
    lengths = np.linalg.norm(wide, axis=1) * np.linalg.norm(narrow, axis=1)
    cosines = np.einsum("ij,ij->i", wide, narrow) / np.maximum(lengths, np.finfo(float).tiny)
    return half if np.all(cosines >= 1 - HALF_TOLERANCE) else modules


def device() -> str:
    """The kind of device that models run on here."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _one_thread() -> None:
    torch.set_num_threads(1)
