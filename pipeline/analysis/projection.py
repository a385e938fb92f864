"""Vectors laid out in two dimensions, so that near ones lie near one another."""

from typing import Any

import numpy as np

from pipeline.errors import InputError
from pipeline.ports import Vectors

METHODS = ("auto", "tsne", "pca")
_COMPONENTS = 50  # that t-SNE is given: the rest is mostly noise
_PERPLEXITY = 30
_LEAST = 10  # points that t-SNE lays out
NEEDS = "pip install 'vecmill[analysis]', or uv sync --extra analysis"


def project(vectors: Vectors, method: str = "auto", seed: int = 0) -> tuple[Vectors, str]:
    """Lay vectors[n, d] out as points[n, 2], each from 0 to 1; gives the method that was used, too.

    "pca" keeps distances on the whole, "tsne" keeps neighbours together (van der Maaten and Hinton 2008; by
    interpolation, Linderman et al. 2019); "auto" takes t-SNE where it is installed. Raises InputError where
    the method is not there.
    """
    if method not in METHODS:
        raise InputError(f"there is no method {method!r}; choose one of {', '.join(METHODS)}")
    components = pca(vectors, _COMPONENTS)
    if method == "auto":
        method = "tsne" if _tsne() and len(vectors) >= _LEAST else "pca"
    if method == "pca":
        points = np.zeros((len(vectors), 2), np.float32)
        points[:, : components.shape[1]] = components[:, :2]
        return _scaled(points), method
    if _tsne() is None:
        raise InputError(f"t-SNE is an extra that is not installed: {NEEDS}; or take --method pca")
    if len(vectors) < _LEAST:
        raise InputError(f"t-SNE lays out at least {_LEAST} points, not {len(vectors)}; take --method pca")
    return _scaled(_laid_out(components, seed)), method


def pca(vectors: Vectors, count: int) -> Vectors:
    """The first principal components[n, count], or as many as there are dimensions."""
    mean = vectors.mean(axis=0, dtype=np.float64)
    spread = (vectors.T @ vectors).astype(np.float64) / len(vectors) - np.outer(mean, mean)
    _, axes = np.linalg.eigh(spread)
    first: Vectors = ((vectors - mean) @ axes[:, ::-1][:, :count]).astype(np.float32)
    return first


def _laid_out(components: Vectors, seed: int) -> Vectors:
    tsne = _tsne().TSNE(
        perplexity=min(_PERPLEXITY, (len(components) - 1) / 3),
        initialization="pca",
        n_jobs=-1,
        random_state=seed,
        negative_gradient_method="fft" if len(components) > 2000 else "bh",
    )
    return np.asarray(tsne.fit(components), np.float32)


def _scaled(points: Vectors) -> Vectors:
    """Shift and scale to 0 to 1, the same on both axes, in the middle of the shorter one."""
    low, high = points.min(axis=0), points.max(axis=0)
    size = float((high - low).max()) or 1.0
    scaled: Vectors = ((points - (low + high) / 2) / size + 0.5).astype(np.float32)
    return scaled


def _tsne() -> Any:
    """The library, which takes seconds to import; None where it is not installed."""
    try:
        import openTSNE
    except ModuleNotFoundError:
        return None
    return openTSNE
