"""Where a store is: a folder of this machine, or a bucket and how it is reached.

Credentials are no part of it: the storage libraries read them from the environment of whoever works,
here and on other machines, in the same variables (AWS_ACCESS_KEY_ID, GOOGLE_APPLICATION_CREDENTIALS,
AZURE_STORAGE_ACCOUNT_NAME and so on). What is said here goes to all of these libraries alike.
"""

import os
import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from obstore.store import AzureStore, GCSStore, LocalStore, S3Store

from pipeline.errors import InputError

_SCHEMES: dict[str, tuple[str, ...]] = {"s3": ("endpoint_url", "region"), "gs": (), "az": ("endpoint_url",)}
_STORES: dict[str, Any] = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}

# A request is tried again after 503s, resets and time-outs; the first one to a store with less patience,
# since a person waits to hear that nothing answers.
_RETRIES = 10
_FIRST_RETRIES = 5
_RETRY_SECONDS = 90

_ENDPOINT = re.compile(
    r"https?://[^\s@?#/:]+(:[0-9]{1,5})?(/[^\s@?#]*)?|https?://\[[0-9a-f:.]+\](:[0-9]{1,5})?/?", re.I
)


def is_remote(address: str) -> bool:
    """Whether a store's address is a URL of object storage rather than a path on this machine."""
    return "://" in address and not address.startswith("file://")


@dataclass(frozen=True, slots=True)
class Place:
    """A store's place. Its address is the URI with what else is said of it: s3://bucket?region=eu-west-1."""

    uri: str  # an absolute path, or scheme://bucket/prefix
    endpoint_url: str | None = None  # of a server that is not the cloud's own
    region: str | None = None
    allow_http: bool = False  # whether data may travel without encryption

    def __post_init__(self) -> None:
        scheme, _, rest = self.uri.partition("://")
        given = [name for name in ("endpoint_url", "region") if getattr(self, name)]
        if not is_remote(self.uri):
            if given:
                raise InputError(f"{given[0]} is for a store such as s3://bucket/prefix, not for a folder")
            return
        if scheme not in _SCHEMES:
            raise InputError(f"a store is a folder, or a URL with s3://, gs:// or az://, not {scheme}://")
        bucket = rest.partition("/")[0]
        if "@" in bucket or ":" in bucket:  # it may be a credential: nothing of it is shown
            raise InputError(
                f"{scheme}:// takes no credentials in a store's URL: set them in the environment"
            )
        if not bucket:
            raise InputError(
                f"{self.uri} names no bucket; write {scheme}://bucket or {scheme}://bucket/prefix"
            )
        unfit = [name for name in given if name not in _SCHEMES[scheme]]
        if unfit:
            raise InputError(f"stores of {scheme}:// have no {unfit[0]}; leave it out")
        _check_endpoint(self.endpoint_url, allow_http=self.allow_http)

    @classmethod
    def of(cls, address: str, **usual: Any) -> "Place":
        """Read an address, with what is `usual` where it says nothing else.

        Raises InputError for one that is none, and for credentials in it.
        """
        if not is_remote(address):
            return cls(os.path.abspath(Path(address.removeprefix("file://")).expanduser()), **usual)
        uri, _, query = address.partition("?")
        options = {**usual, **dict(parse_qsl(query))}
        unknown = [name for name in options if name not in ("endpoint_url", "region", "allow_http")]
        if unknown:
            raise InputError(
                f"{unknown[0]!r} is no option of a store's URL; there are endpoint_url, region and "
                "allow_http. Credentials belong into the environment"
            )
        options["allow_http"] = options.get("allow_http") in (True, "true", "1")
        return cls(uri.rstrip("/") if uri.partition("://")[2] else uri, **options)

    @property
    def address(self) -> str:
        """All that another process needs to find the store."""
        values = {"endpoint_url": self.endpoint_url, "region": self.region}
        options = {name: value for name, value in values.items() if value}
        if self.allow_http:
            options["allow_http"] = "true"
        return f"{self.uri}?{urlencode(options, quote_via=quote, safe=':/')}" if options else self.uri

    def open(self, *, first: bool = False) -> Any:
        """An obstore store; `first` is for the first request, which gives up sooner."""
        scheme, bucket, path = urlsplit(self.uri)[:3]
        if not is_remote(self.uri):
            return LocalStore(prefix=Path(self.uri))
        told = {"endpoint": self.endpoint_url, "region": self.region}
        retries = {
            "max_retries": _FIRST_RETRIES if first else _RETRIES,
            "retry_timeout": timedelta(seconds=_RETRY_SECONDS),
        }
        http = {"client_options": {"allow_http": True}} if self.allow_http else {}
        given = {name: value for name, value in told.items() if value}
        return _STORES[scheme](
            bucket, prefix=unquote(path).strip("/") or None, retry_config=retries, **given, **http
        )

    def lance(self) -> dict[str, str] | None:
        """The same for Lance; None for a folder."""
        if not is_remote(self.uri):
            return None
        name = {"s3": "aws", "az": "azure", "gs": "google"}[self.uri.partition("://")[0]]
        told = {f"{name}_endpoint": self.endpoint_url, f"{name}_region": self.region}
        return {
            **{option: value for option, value in told.items() if value},
            **({"allow_http": "true"} if self.allow_http else {}),
            "client_max_retries": str(_RETRIES),
            "client_retry_timeout": str(_RETRY_SECONDS),
        }


def _check_endpoint(url: str | None, *, allow_http: bool) -> None:
    if url is None:
        return
    if not _ENDPOINT.fullmatch(url):  # it may hold a credential: nothing of it is shown
        raise InputError(
            "the store's endpoint_url is not such as https://storage.example.com:9000; "
            "credentials belong into the environment"
        )
    if url.startswith("http:") and not allow_http:
        raise InputError(
            f"the store's endpoint_url is {url}, where all would travel unencrypted; "
            "say allow_http = true if that is meant, or name an https:// one"
        )
