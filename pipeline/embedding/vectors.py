"""What every provider's answer has to be before it is used."""

import numpy as np
import numpy.typing as npt

from pipeline.errors import Retryable
from pipeline.ports import Vectors

_UNIT = 1e-6  # by which a squared length may differ from 1: that is float32's own precision


def normalised(vectors: npt.NDArray[np.floating], texts: int, dimensions: int) -> Vectors:
    """Check an answer and scale each row to length 1.

    Takes float[n, d]; gives float32[texts, dimensions]. Raises Retryable where the shape is not the
    one asked for, or a value is not finite, or a row is all zeros.
    """
    if vectors.shape != (texts, dimensions):
        shape = " x ".join(map(str, vectors.shape))
        raise Retryable(
            f"the answer has {shape} numbers; {texts} x {dimensions} are {texts} vectors of the space",
            perhaps_billed=True,
        )
    with np.errstate(all="ignore"):  # what is too large or too small for this is looked at below
        squares = np.vecdot(vectors, vectors)
    if np.all(np.abs(squares - 1) < _UNIT):  # as most providers send them
        return vectors.astype(np.float32, copy=False)
    wide = vectors.astype(np.float64)
    norms = np.sqrt(np.einsum("ij,ij->i", wide, wide))
    if not np.all(np.isfinite(norms)) or not np.all(norms > 0):
        raise Retryable("the answer has vectors that are not finite or all zeros", perhaps_billed=True)
    scaled: Vectors = (wide / norms[:, None]).astype(np.float32)
    return scaled
