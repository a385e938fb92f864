"""A metered OpenAI-compatible embeddings endpoint inside the tests: real HTTP, real limits, no money.

`MeteredEndpoint` serves, `Ledger` says what was billed, `Faults` and `Fault` say what goes wrong, `Bounds`
how large a request may be, `BatchRules` and `Calls` how batches go.
"""

from .batch_rules import BatchRules, Calls
from .faults import Fault, Faults
from .ledger import Charge, Ledger
from .server import MeteredEndpoint
from .wire import Bounds

__all__ = ["BatchRules", "Bounds", "Calls", "Charge", "Fault", "Faults", "Ledger", "MeteredEndpoint"]
