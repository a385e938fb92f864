"""What storage libraries raise, in our own words: by their errors, and by what S3 servers answer them."""

import errno
import traceback
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from aiohttp import web
from obstore.exceptions import GenericError

from pipeline.cache import VectorCache
from pipeline.errors import InputError, StoreRefused
from pipeline.objects import Objects
from pipeline.refusals import store_errors
from tests.storage import Meddler, refusing
from tests.support import LOCAL


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "no space left for here; make room"),
        (OSError("LanceError(IO): No space left on device (os error 28)"), "no space left for here"),
        (GenericError("Generic error: No space left on device"), "no space left for here"),
        (PermissionError(13, "Permission denied"), "cannot be used at here: .*Permission denied"),
        (ValueError("LanceError(IO): Not a directory (os error 20)"), "cannot be used at here: LanceError"),
        (ValueError("Not found: /a/b.lance"), "cannot be used at here: Not found"),
        (OSError(), "cannot be used at here: OSError"),
        (GenericError("one line\nanother"), "at here: one line; vecmill doctor"),
    ],
)
def test_what_storage_raises_says_where_and_what_to_do(error: Exception, said: str) -> None:
    with pytest.raises(StoreRefused, match=said) as refused, store_errors("here"):
        raise error
    assert refused.value.exit_code == 7
    assert refused.value.__cause__ is error


def test_other_errors_are_let_through() -> None:
    for error in (ValueError("a defect"), KeyError("x"), InputError("bad"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as raised, store_errors("here"):
            raise error
        assert raised.value is error


@dataclass(frozen=True, slots=True)
class Use:
    """A way to use a store, by either library."""

    name: str
    go: Callable[[Objects], object]


_USES = (
    Use("get", lambda objects: objects.get("a")),
    Use("put", lambda objects: objects.put("a", b"")),
    Use("create", lambda objects: objects.create("a", b"")),
    Use("list", lambda objects: objects.paths("a")),
    Use("folders", lambda objects: objects.folders("a")),
    Use("delete", lambda objects: objects.delete_all(["a", "b"])),
    Use("lance", lambda objects: VectorCache(objects, LOCAL).open()),
)


@pytest.fixture(params=_USES, ids=lambda use: use.name)
def use(request: pytest.FixtureRequest) -> Use:
    found: Use = request.param
    return found


@pytest.fixture(params=[use for use in _USES if use.name != "lance"], ids=lambda use: use.name)
def small_use(request: pytest.FixtureRequest) -> Use:
    """A use without Lance, which lists a failing store six times over two seconds, whatever it is told."""
    found: Use = request.param
    return found


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries that try a request again once at most."""
    for name in ("_RETRIES", "_FIRST_RETRIES"):
        monkeypatch.setattr(f"pipeline.place.{name}", 1)


def _refused(use: Use, address: str) -> str:
    with pytest.raises(StoreRefused) as refused:
        use.go(Objects(address))
    assert refused.value.exit_code == 7
    return str(refused.value)


def test_a_bucket_that_is_not_there(remote: str, use: Use) -> None:
    assert "there is no such bucket; make it, or name another --store" in _refused(
        use, "s3://no-such-bucket/x"
    )


def test_a_key_that_the_server_does_not_know(
    remote: str, small_use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIANOBODY")
    said = _refused(small_use, remote)
    assert "does not take these credentials: look at AWS_ACCESS_KEY_ID" in said
    assert "InvalidAccessKeyId" in said


def test_a_secret_that_is_wrong(remote: str, use: Use, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "MARKERwrong")
    said = _refused(use, remote)
    assert "does not take these credentials" in said
    assert "MARKERwrong" not in said


def test_nothing_that_answers(small_use: Use, remote: str, quick: None) -> None:
    said = _refused(small_use, f"{remote}?endpoint_url=http://127.0.0.1:9&allow_http=true")
    assert "nothing answers there; look at the endpoint and the network" in said


def test_an_endpoint_without_encryption_that_nobody_allowed(
    remote: str, small_use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    assert "its endpoint is http://, where nothing is encrypted; set allow_http" in _refused(
        small_use, remote
    )


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (503, "SlowDown", "it is overloaded or out of order, and stayed so"),
        (500, "InternalError", "it is overloaded or out of order, and stayed so"),
        (403, "AccessDenied", "these credentials may not do this there"),
        (400, "ExpiredToken", "it does not take these credentials"),
        (400, "AuthorizationHeaderMalformed", "the bucket is in another region: name it as region"),
        (301, "PermanentRedirect", "the bucket is in another region: name it as region"),
        (418, "Teapot", "418 I'm a teapot Teapot; vecmill doctor checks it"),
    ],
)
def test_what_a_server_answers_is_explained(
    remote: str, meddler: Meddler, small_use: Use, quick: None, status: int, code: str, said: str
) -> None:
    meddler.rule = lambda _: refusing(status, code)
    assert said in _refused(small_use, f"{remote}?endpoint_url={meddler.url}&allow_http=true")


def test_what_a_server_repeats_of_the_credentials_is_neither_shown_nor_kept(
    remote: str, meddler: Meddler, use: Use, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "MARKERtoken")

    def repeat(request: web.Request) -> web.Response:
        token, key = request.headers["x-amz-security-token"], request.headers["authorization"]
        return refusing(400, "InvalidToken", f"{token} and {key}")

    meddler.rule = repeat
    with pytest.raises(StoreRefused) as refused:
        use.go(Objects(f"{remote}?endpoint_url={meddler.url}&allow_http=true"))
    shown = "".join(traceback.format_exception(refused.value))
    assert "InvalidToken" in shown
    assert "MARKERtoken" not in shown
    assert "AKIA" not in shown


def test_a_moment_out_of_order_is_waited_for(remote: str, meddler: Meddler, use: Use) -> None:
    left = [3]

    def out_of_order(request: web.Request) -> web.Response | None:
        left[0] -= 1
        return refusing(503, "SlowDown") if left[0] >= 0 else None

    objects = Objects(f"{remote}?endpoint_url={meddler.url}&allow_http=true")
    meddler.rule = out_of_order
    use.go(objects)
    assert left[0] < 0
