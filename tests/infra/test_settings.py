"""The environment, and vecmill.toml."""

import os
from pathlib import Path

import pytest

from infra.config import Config, PipelineConfig, StoreConfig
from infra.settings import Environment, be_quiet, read_config, read_environment, read_secret
from pipeline.errors import InputError

NOTHING = Environment(None, None, None, None, None)

# The example of the documentation.
EXAMPLE = """
[store]
uri = "./vecmill-data"

[pipelines.docs]
table     = "docs"
source    = { kind = "files", uri = "docs/", glob = "**/*.md" }
splitter  = { kind = "markdown", max_tokens = 384, overlap_tokens = 0 }
embedding = { provider = "openai", model = "text-embedding-3-small", dimensions = 1024, \
tpm = 1_000_000, rpm = 3_000 }
schedule  = { cron = "*/15 * * * *", timezone = "Asia/Tokyo" }
budget    = { usd = 5.0, failures = 0.01 }
"""


def _file(folder: Path, text: str | bytes) -> str:
    path = folder / "vecmill.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def _refused(folder: Path, text: str | bytes) -> str:
    """What is said about a file, without its name in front."""
    name = _file(folder, text)
    with pytest.raises(InputError) as raised:
        read_config(name, NOTHING)
    message = str(raised.value)
    assert message.startswith(name)
    return message.removeprefix(name).removeprefix(": ").strip()


def test_the_example_of_the_documentation_is_read_whole(tmp_path: Path) -> None:
    config = read_config(_file(tmp_path, EXAMPLE), NOTHING)
    pipeline = config.pipelines["docs"]
    assert config.store.uri == str(tmp_path / "vecmill-data")
    assert pipeline == PipelineConfig.model_validate(
        {
            "table": "docs",
            "source": {"kind": "files", "uri": str(tmp_path / "docs"), "glob": "**/*.md"},
            "splitter": {"kind": "markdown", "max_tokens": 384, "overlap_tokens": 0},
            "embedding": {
                "provider": "openai",
                "model": "text-embedding-3-small",
                "dimensions": 1024,
                "tpm": 1_000_000,
                "rpm": 3_000,
            },
            "schedule": {"cron": "*/15 * * * *", "timezone": "Asia/Tokyo"},
            "budget": {"usd": 5.0, "failures": 0.01},
        }
    )


def test_relative_paths_are_relative_to_the_file_and_others_stay(tmp_path: Path) -> None:
    text = '[store]\nuri = "s3://bucket/prefix"\n' + "".join(
        f'[pipelines.{name}]\ntable = "docs"\nsource = {{ uri = "{uri}" }}\n'
        for name, uri in {
            "a": "../docs",
            "b": "/srv/docs",
            "c": "頁/*.md",
            "d": "file:///x",
            "e": "~/d",
        }.items()
    )
    config = read_config(_file(tmp_path, text), NOTHING)
    assert config.store.uri == "s3://bucket/prefix"
    assert [pipeline.source.uri for pipeline in config.pipelines.values()] == [
        f"{tmp_path}/../docs",
        "/srv/docs",
        f"{tmp_path}/頁/*.md",
        "file:///x",
        str(Path("~/d").expanduser()),
    ]


def test_what_is_said_of_a_store_goes_wherever_its_uri_goes(tmp_path: Path) -> None:
    text = "[store]\nuri = 's3://b/p'\nendpoint_url = 'http://host:9000'\nregion = 'eu'\nallow_http = true"
    store = read_config(_file(tmp_path, text), NOTHING).store
    assert store.uri == "s3://b/p?endpoint_url=http://host:9000&region=eu&allow_http=true"
    assert StoreConfig.model_validate(store.model_dump()) == store


def test_a_models_folder_is_relative_to_the_file_and_a_name_in_a_cache_is_none(tmp_path: Path) -> None:
    (tmp_path / "models" / "small").mkdir(parents=True)
    file = tmp_path / "vecmill.toml"
    for said, meant in (("models/small", str(tmp_path / "models" / "small")), ("some/small", "some/small")):
        form = f'{{ provider = "sentence-transformers", model = "{said}", dimensions = 8 }}'
        file.write_text(f'[pipelines.t]\ntable = "t"\nsource = {{ uri = "docs" }}\nembedding = {form}\n')
        assert read_config(str(file), read_environment()).pipelines["t"].embedding.model == meant


def test_a_folder_that_only_looks_like_somebodys_home_is_a_folder(tmp_path: Path) -> None:
    config = read_config(_file(tmp_path, '[store]\nuri = "~nobody-has-this-name/x"'), NOTHING)
    assert config.store.uri == f"{tmp_path}/~nobody-has-this-name/x"


def test_without_a_store_in_the_file_the_store_lies_beside_the_file(tmp_path: Path) -> None:
    assert read_config(_file(tmp_path, ""), NOTHING).store.uri == str(tmp_path / "vecmill-data")


def test_without_any_file_everything_has_its_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_config(None, NOTHING) == Config()


def test_the_file_of_this_folder_is_read_unless_another_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _file(tmp_path, EXAMPLE)
    (tmp_path / "other.toml").write_text('[store]\nuri = "here"')
    (tmp_path / "third.toml").write_text('[store]\nuri = "there"')
    environment = Environment(None, "other.toml", None, None, None)
    assert list(read_config(None, NOTHING).pipelines) == ["docs"]
    assert read_config(None, environment).store.uri == "here"
    assert read_config("third.toml", environment).store.uri == "there"


@pytest.mark.parametrize("environment", [NOTHING, Environment(None, "nope.toml", None, None, None)])
def test_a_file_that_is_named_and_not_there_is_an_error(environment: Environment, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no configuration file .*nope\.toml"):
        read_config(None if environment.config else str(tmp_path / "nope.toml"), environment)


def test_a_byte_order_mark_is_no_harm(tmp_path: Path) -> None:
    assert list(read_config(_file(tmp_path, b"\xef\xbb\xbf" + EXAMPLE.encode()), NOTHING).pipelines) == [
        "docs"
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[pipelines\n", "Expected ']' at the end of a table declaration (at line 1, column 11)"),
        ("a = 1\na = 2\n", "Cannot overwrite a value (at line 2, column 6)"),
        (
            "# 山".encode("shift_jis"),
            "'utf-8' codec can't decode byte 0x8e in position 2: invalid start byte",
        ),
    ],
)
def test_broken_toml_is_named_with_its_line(text: str | bytes, said: str, tmp_path: Path) -> None:
    assert _refused(tmp_path, text) == f"is no valid TOML: {said}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[pipeline.docs]", "pipeline is no key that vecmill knows"),
        ("[pipelines.docs]", "pipelines.docs.table is missing; pipelines.docs.source is missing"),
        ("pipelines = 3", "pipelines must be a table, such as { key = value }"),
        ("pipelines.docs = 'docs/'", "pipelines.docs must be a table, such as { key = value }"),
        ('[store]\nuri = ""', "store.uri is '': String should have at least 1 character"),
        ("[store]\nurl = 'x'", "store.url is no key that vecmill knows"),
        (
            "[store]\nsecret_access_key = 'MARKER'",
            "store.secret_access_key is no key that vecmill knows",
        ),
        (
            "[store]\nuri = 's3://b'\nendpoint_url = 'https://KEY:MARKER@host'",
            "store.uri: the store's endpoint_url is not such as https://storage.example.com:9000; "
            "credentials belong into the environment",
        ),
        (
            "[store]\nuri = 's3://KEY:MARKER@b'",
            "store.uri: s3:// takes no credentials in a store's URL: set them in the environment",
        ),
        (
            "[store]\nendpoint_url = 'https://host'",
            "store.uri: endpoint_url is for a store such as s3://bucket/prefix, not for a folder",
        ),
    ],
)
def test_a_wrong_file_is_named_with_the_place(text: str, said: str, tmp_path: Path) -> None:
    assert _refused(tmp_path, text) == said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("budgte = { usd = 1 }", ".budgte is no key that vecmill knows"),
        ("budget = { usd = -1 }", ".budget.usd is -1: Input should be greater than or equal to 0"),
        ("workers = 1.5", ".workers is 1.5: Input should be a valid integer, got a number with"),
        ("splitter = { kind = '山' }", ".splitter.kind is '山': Input should be 'markdown', 'recursive',"),
        (
            "splitter = { max_tokens = 'many' }",
            ".splitter.max_tokens is 'many': Input should be a valid integer",
        ),
        (
            "splitter = { max_tokens = 64, overlap_tokens = 40 }",
            ".splitter: overlap_tokens is 40; it must lie between 0 and half of max_tokens (32)",
        ),
        ("embedding = { model = 'm' }", ".embedding: a space needs all three of `provider`, `model` and"),
        ("schedule = {}", ".schedule: a schedule has either `cron` or `interval`"),
        ("delete_missing = 'perhaps'", ".delete_missing is 'perhaps': Input should be a valid boolean"),
    ],
)
def test_a_wrong_pipeline_is_named_with_the_place_the_value_and_the_bound(
    line: str, said: str, tmp_path: Path
) -> None:
    text = f'[pipelines.docs]\ntable = "docs"\nsource = {{ uri = "docs" }}\n{line}\n'
    assert _refused(tmp_path, text).startswith(f"pipelines.docs{said}")


def test_the_environment_is_read_and_what_is_empty_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_environment() == NOTHING
    monkeypatch.setenv("VECMILL_STORE", "s3://bucket")
    monkeypatch.setenv("RAY_ADDRESS", "")
    assert read_environment() == Environment("s3://bucket", None, None, None, None)


def test_a_secret_is_read_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_secret("VECMILL_TEST_KEY") is None
    monkeypatch.setenv("VECMILL_TEST_KEY", " sk-1234\n")
    secret = read_secret("VECMILL_TEST_KEY")
    assert secret == "sk-1234"
    assert "1234" not in repr(secret)
    monkeypatch.setenv("VECMILL_TEST_KEY", "  ")
    assert read_secret("VECMILL_TEST_KEY") is None


def test_nothing_phones_home_unless_somebody_asked_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DO_NOT_TRACK")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    be_quiet()
    assert os.environ["DO_NOT_TRACK"] == "1"
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "1"
