"""What storage libraries raise, in our own words."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import BaseError

from pipeline.errors import StoreRefused

_NO_SPACE = os.strerror(errno.ENOSPC)
_LANCE_READ = re.compile(r"LanceError\(IO\)|Not found: ")  # which it raises as ValueError
_HTTP = re.compile(
    r"HTTP error|Server returned|Error performing|Generic (?:S3|GCS|MicrosoftAzure) error|<Error>"
)
_STATUS = re.compile(r"non-2xx status code: (\d+[^:\n]*)")
_CODE = re.compile(r"<Code>(\w+)</Code>")

_NO_BUCKET = "NoSuchBucket|ContainerNotFound|bucket does not exist"

# Neither library has a class for these: they are told by the server's code, or by what the client says.
_SAID: tuple[tuple[str, str], ...] = (
    (_NO_BUCKET, "there is no such bucket; make it, or name another --store"),
    (
        "169\\.254\\.169\\.254|metadata\\.google|Missing ?(?:Account|Credential)|Account must be specified",
        "no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (what a profile has is "
        "told by: aws configure export-credentials --format env), GOOGLE_APPLICATION_CREDENTIALS, or "
        "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
    ),
    (
        "AuthorizationHeaderMalformed|PermanentRedirect|without LOCATION|IllegalLocationConstraint|"
        "status code: 301",
        "the bucket is in another region: name it as region under [store], or in AWS_REGION",
    ),
    (
        "InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|InvalidToken|TokenRefreshRequired|"
        "AuthenticationFailed|RequestTimeTooSkewed|status code: 401",
        "it does not take these credentials: look at AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and "
        "AWS_SESSION_TOKEN, or at what its cloud reads in their place, and at this machine's clock",
    ),
    (
        "AccessDenied|AuthorizationFailure|status code: 403|necessary privileges",
        "these credentials may not do this there: they need to list, read, write and delete objects",
    ),
    (
        "builder error",
        "its endpoint is http://, where nothing is encrypted; set allow_http, if that is meant",
    ),
    (
        "timed out|TimedOut|operation timed",
        "it does not answer in time; look at the network, then run the same command again",
    ),
    (
        "error sending request|dns error|Connection refused|error trying to connect",
        "nothing answers there; look at the endpoint and the network, then run the same command again",
    ),
    (
        "status code: (?:5\\d\\d|429)|SlowDown|ServiceUnavailable|InternalError",
        "it is overloaded or out of order, and stayed so; run the same command again later",
    ),
)


def no_bucket(error: Exception) -> bool:
    """Whether what was not found is the bucket, rather than an object in it."""
    return bool(re.search(_NO_BUCKET, str(error)))


@contextmanager
def store_errors(place: str) -> Iterator[None]:
    """Translate what storage libraries raise into StoreRefused, which says where and what to do."""
    try:
        yield
    except (OSError, BaseError, ValueError) as error:
        text = str(error)
        if isinstance(error, ValueError) and not _LANCE_READ.match(text):
            raise
        if getattr(error, "errno", None) == errno.ENOSPC or _NO_SPACE in text:
            raise StoreRefused(
                f"no space left for {place}; make room, then run the same command again"
            ) from error
        if _HTTP.search(text):
            # A server may repeat in its answer what it was sent: it is not shown, nor kept as the cause.
            raise StoreRefused(f"the store cannot be used at {place}: {_explained(text)}") from None
        first = text.splitlines()[0] if text else type(error).__name__
        raise StoreRefused(
            f"the store cannot be used at {place}: {first}; vecmill doctor checks it"
        ) from error


def _explained(text: str) -> str:
    """What a failed request to object storage comes to, with the server's own code for it."""
    status, code = _STATUS.search(text), _CODE.search(text)
    told = " ".join(found[1] for found in (status, code) if found)
    for pattern, said in _SAID:
        if re.search(pattern, text):
            return f"{said} ({told})" if told else said
    return f"{told or 'the request failed'}; vecmill doctor checks it"
