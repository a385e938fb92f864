"""A real S3 server (SeaweedFS) on loopback, for as long as the `with` block lasts."""

import json
import os
import secrets
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Self

import httpx
import obstore
from obstore.store import S3Store

_START_SECONDS = 60
_KEY, _REGION = "AKIAVECMILLTESTS", "us-east-1"
# It ends with its input, which ends with this process, however that ends.
_WITH_US = '"$@" & server=$!; read -r _; kill -9 "$server"'
# Ports that the server is told, so that it takes none of the usual ones: HTTP and gRPC of each of its parts.
_PARTS = ("master", "volume", "filer", "s3")


class S3Server:
    """SeaweedFS with one user, whose secret is a marker that tests can look for."""

    def __init__(self) -> None:
        self.secret = f"MARKER{secrets.token_hex(12)}"
        self._stack = ExitStack()
        self._port = 0

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def env(self) -> Mapping[str, str]:
        """The standard environment of a process that uses it."""
        return {
            "AWS_ACCESS_KEY_ID": _KEY,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": _REGION,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ALLOW_HTTP": "true",
        }

    def store(self, bucket: str = "kept-bucket") -> str:
        """The URI of a store that is empty; anybody may use the "open-bucket"."""
        return f"s3://{bucket}/{secrets.token_hex(6)}"

    def _make(self, bucket: str) -> None:
        store = S3Store(
            bucket,
            endpoint=self.url,
            region=_REGION,
            access_key_id=_KEY,
            secret_access_key=self.secret,
            client_options={"allow_http": True},
        )
        httpx.put(obstore.sign(store, "PUT", "", timedelta(minutes=1))).raise_for_status()
        obstore.put(store, "first", b"")  # makes it wait for the room that the first one needs

    def __enter__(self) -> Self:
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="vecmill-s3-")))
        user = {
            "name": "vecmill",
            "credentials": [{"accessKey": _KEY, "secretKey": self.secret}],
            "actions": ["Admin", "Read", "Write", "List"],
        }
        # Anybody may use buckets called so: what is meddled with on its way has no valid signature.
        anybody = {"name": "anonymous", "actions": ["Read:open-*", "Write:open-*", "List:open-*"]}
        (folder / "users.json").write_text(json.dumps({"identities": [user, anybody]}), "utf-8")
        ports = _free_ports(2 * len(_PARTS))
        self._port = ports[2 * _PARTS.index("s3")]
        with (folder / "log").open("wb") as log:
            words = ["sh", "-c", _WITH_US, "sh", *_words(folder, ports)]
            server = Popen(words, stdout=log, stderr=log, stdin=PIPE, cwd=folder)
        self._stack.callback(_end, server, ports)
        try:
            self._wait(server, folder / "log")
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *raised: object) -> None:
        self._stack.close()

    def _wait(self, server: "Popen[bytes]", log: Path) -> None:
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until and server.poll() is None:
            try:
                httpx.get(self.url)
            except httpx.HTTPError:
                time.sleep(0.05)
            else:
                break
        else:
            raise RuntimeError(f"the S3 server did not start:\n{log.read_text(errors='replace')[-3000:]}")
        for bucket in ("kept-bucket", "open-bucket"):
            self._make(bucket)


def _words(folder: Path, ports: list[int]) -> list[str]:
    here = shutil.which("weed", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if here is None:
        raise RuntimeError("the S3 server for tests is not installed: uv sync")
    (folder / "data").mkdir()
    named = [
        f"-{part}.port{kind}={ports[2 * place + number]}"
        for place, part in enumerate(_PARTS)
        for number, kind in enumerate(("", ".grpc"))
    ]
    sockets = [f"-{part}.localSocket={folder / part}.sock" for part in ("filer", "s3")]
    return [
        *(here, "server", f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"),
        *(f"-s3.config={folder / 'users.json'}", "-s3.port.iceberg=0", "-s3.port.lance=0"),
        *("-s3.autoCreateBucket=false", "-master.telemetry=false", "-master.electionTimeout=1s"),
        *("-master.volumeSizeLimitMB=64", "-volume.max=100", "-volume.preStopSeconds=0"),
        *named,
        *sockets,
    ]


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in found:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in found]


def _end(server: "Popen[bytes]", ports: list[int]) -> None:
    """End it at once, since nothing of it is needed any more; what it leaves outside its folder goes, too."""
    if server.stdin:
        server.stdin.close()
    server.wait()
    for port in ports:
        for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
            left.unlink(missing_ok=True)
