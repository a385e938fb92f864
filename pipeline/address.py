"""The address of an endpoint, checked before anything is recorded of it."""

from urllib.parse import urlsplit

from pipeline.errors import InputError


def checked_address(url: str) -> str:
    """The URL of an endpoint; raises InputError where no request could go there."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna")
        fine = parts.scheme in ("http", "https") and host and parts.port != 0 and url.isprintable()
    except ValueError:
        fine = False
    if not fine or " " in url or "@" in parts.netloc:
        raise InputError(
            f"{url.rpartition('@')[2]!r} is no endpoint; write --base-url http://host:port/v1, "
            "with no user or password in it"
        )
    return url
