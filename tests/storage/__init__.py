"""Object storage inside the tests: a real S3 server, and a proxy before it that meddles with requests."""

from .meddler import Meddler, refusing
from .server import S3Server

__all__ = ["Meddler", "S3Server", "refusing"]
