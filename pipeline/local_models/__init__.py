"""Models in folders of this machine, which the providers `onnx` and `sentence-transformers` run."""

from pipeline.local_models.folder import ModelFolder
from pipeline.local_models.identity import NEEDS, fitting, identified, open_model

__all__ = ["NEEDS", "ModelFolder", "fitting", "identified", "open_model"]
