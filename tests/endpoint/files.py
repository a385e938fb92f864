"""`/v1/files`: what clients upload for batches, and what batches leave for them to fetch."""

from dataclasses import dataclass, field
from itertools import count
from typing import Any

from aiohttp import BodyPartReader, web

from .wire import WireError

MAX_FILE_BYTES = 200 * 2**20


@dataclass(frozen=True, slots=True)
class File:
    """One file, as it is kept."""

    id: str
    name: str
    purpose: str  # "batch", or "batch_output" for what a batch has left
    created: int  # unix seconds
    data: bytes

    def record(self) -> dict[str, Any]:
        """The file object, without its content."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.data),
            "created_at": self.created,
            "filename": self.name,
            "purpose": self.purpose,
            "status": "processed",
        }


@dataclass(slots=True)
class Files:
    """The files of one endpoint, by their ids; used from the server's thread, and read by tests."""

    most_bytes: int = MAX_FILE_BYTES  # a file
    kept: dict[str, File] = field(default_factory=dict)
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    def add(self, name: str, purpose: str, data: bytes, now: float) -> File:
        """Keep a file."""
        file = File(f"file-{next(self._numbers):06d}", name, purpose, int(now), data)
        self.kept[file.id] = file
        return file

    def find(self, file_id: str) -> File:
        """The file of an id; raises a 404."""
        if file_id not in self.kept:
            raise WireError(404, f"No such File object: {file_id}", param="id")
        return self.kept[file_id]

    async def upload(self, request: web.Request, now: float) -> File:
        """Take in a multipart upload; raises a 400 where it is none, or too large, or for another purpose."""
        parts: dict[str, bytes] = {}
        name = ""
        if not request.content_type.startswith("multipart/"):
            raise WireError(400, "The upload must be multipart/form-data.")
        async for part in await request.multipart():
            if isinstance(part, BodyPartReader) and part.name:
                parts[part.name] = await self._read(part)
                name = part.filename or name if part.name == "file" else name
        if "file" not in parts or not name:
            raise WireError(400, "'file' is a required property", param="file")
        purpose = parts.get("purpose", b"").decode()
        if purpose != "batch":
            raise WireError(400, f"'{purpose}' is not one of ['batch']", param="purpose")
        return self.add(name, purpose, parts["file"], now)

    async def _read(self, part: BodyPartReader) -> bytes:
        data = bytearray()
        while chunk := await part.read_chunk(2**16):
            data += chunk
            if len(data) > self.most_bytes:
                raise WireError(413, f"The file exceeds the maximum size of {self.most_bytes} bytes.")
        return bytes(data)
