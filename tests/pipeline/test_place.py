"""Where a store is: what an address may say, and how each library is told of it."""

import os
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.place import Place, is_remote

_MARK = "sEcReT/mark"


def test_a_folder_is_an_absolute_path_for_every_process() -> None:
    assert Place.of("x").uri == os.path.abspath("x")
    assert Place.of("file:///a/b").address == "/a/b"
    assert Place.of("~/x").uri == str(Path("~/x").expanduser())
    assert Place.of("x").lance() is None
    assert [is_remote(one) for one in ("x", "file:///x", "s3://x")] == [False, False, True]


@pytest.mark.parametrize("uri", ["s3://bucket", "s3://bucket/a/b", "gs://bucket/a", "az://container/a"])
def test_a_bucket_keeps_its_address(uri: str) -> None:
    assert Place.of(uri).address == Place.of(f"{uri}/").address == uri


def test_options_are_part_of_the_address_and_come_back_from_it() -> None:
    place = Place.of("s3://b/p?endpoint_url=http://127.0.0.1:9000&region=eu-west-1&allow_http=true")
    assert place == Place("s3://b/p", "http://127.0.0.1:9000", "eu-west-1", allow_http=True)
    assert Place.of(place.address) == place
    assert Place.of("s3://b?endpoint_url=https://x:1/y%26z").endpoint_url == "https://x:1/y&z"
    assert Place.of(Place("s3://b", "https://x:1/y&z").address).endpoint_url == "https://x:1/y&z"


def test_what_an_address_says_goes_before_what_is_usual() -> None:
    usual = {"region": "us-east-1", "endpoint_url": "https://usual"}
    assert Place.of("s3://b?region=eu", **usual) == Place("s3://b", "https://usual", "eu")


def test_lance_is_told_what_obstore_is_told() -> None:
    place = Place("s3://b/p", "http://host:9000", "eu-west-1", allow_http=True)
    told = place.lance()
    assert told is not None
    assert place.open().config == {"bucket": "b", "endpoint": "http://host:9000", "region": "eu-west-1"}
    assert {told["aws_endpoint"], told["aws_region"], told["allow_http"]} == {
        "http://host:9000",
        "eu-west-1",
        "true",
    }
    assert place.open().client_options == {"allow_http": told["allow_http"]}
    assert place.open().retry_config["max_retries"] == int(told["client_max_retries"])
    assert place.open(first=True).retry_config["max_retries"] < place.open().retry_config["max_retries"]
    assert set(Place("s3://b").lance() or ()) == {"client_max_retries", "client_retry_timeout"}


def test_a_prefix_means_the_same_to_both_libraries() -> None:
    assert Place.of("s3://b/a%20b/日本").open().prefix == "a b/日本"
    assert Place.of("s3://b").open().prefix is None


def test_the_other_clouds_open_with_their_own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "someone")
    azure = Place.of("az://container/p?endpoint_url=https://blob.example.com")
    assert azure.open().prefix == "p"
    assert (azure.lance() or {})["azure_endpoint"] == "https://blob.example.com"
    assert Place.of("gs://bucket/p").open().prefix == "p"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("zzz://bucket", "a folder, or a URL with s3://, gs:// or az://, not zzz://"),
        ("s3://", "names no bucket"),
        ("s3:///x", "names no bucket"),
        (f"s3://KEY:{_MARK}@bucket/x", "takes no credentials in a store's URL"),
        (f"s3://bucket?secret_access_key={_MARK}", "'secret_access_key' is no option"),
        (f"s3://bucket?endpoint_url=https://KEY:{_MARK}@host", "endpoint_url is not such as"),
        (f"s3://bucket?endpoint_url=https://host?token={_MARK}", "endpoint_url is not such as"),
        ("s3://bucket?endpoint_url=host:9000", "endpoint_url is not such as"),
        ("s3://bucket?endpoint_url=http://host:9000", "say allow_http = true"),
        ("gs://bucket?region=eu", "stores of gs:// have no region"),
        ("az://container?region=eu", "stores of az:// have no region"),
    ],
)
def test_what_is_no_address_is_said_without_showing_a_credential(address: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as refused:
        Place.of(address)
    assert _MARK not in str(refused.value)


def test_a_folder_has_no_endpoint() -> None:
    with pytest.raises(InputError, match="endpoint_url is for a store such as s3://"):
        Place.of("folder", endpoint_url="https://x")
