"""One shard: an ordinary WebDataset tar and the Parquet index beside it."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import webdataset

from gsv2.data.manifest import ShardEntry
from gsv2.data.schema import FORMAT_VERSION
from gsv2.files import named_errors

SUFFIXES = {
    "audio": "flac",
    "json": "json",
    "codes": "codes.npy",
    "codes_json": "json",
    "align": "align.npy",
}
"""Member -> suffix that this package writes. `codes_json` is the JSON again, beside sidecar codes,
so that those who read codes alone never touch the tars with audio; `align`, beside codes too, says
which character is spoken at each of their frames."""
SIZE_LIMITS = {
    "audio": 256 << 20,
    "json": 1 << 20,
    "codes": 64 << 20,
    "codes_json": 1 << 20,
    "align": 64 << 20,
}
"""Member -> most bytes that are written or read."""

TAR_BLOCK_BYTES = 512
"""Tar pads every member to blocks of this many bytes, behind a header of one."""


def _member_fields(member: str) -> list[pa.Field]:
    return [
        pa.field(f"{member}_offset", pa.int64()),
        pa.field(f"{member}_length", pa.int64()),
        pa.field(f"{member}_crc32", pa.int64()),
    ]


_METADATA = {"gsv2_format_version": str(FORMAT_VERSION)}
CODES_SCHEMA = pa.schema(
    [
        pa.field("key", pa.string()),
        pa.field("num_code_frames", pa.int32()),
        *_member_fields("codes"),
        *_member_fields("codes_json"),
    ],
    metadata=_METADATA,
)
"""Columns of the index of a sidecar tar of codes."""
ALIGN_FIELDS = _member_fields("align")
"""More columns of it where the codes were aligned with their texts; null for the clips that could
not be."""
ALIGNED_SCHEMA = pa.schema([*CODES_SCHEMA, *ALIGN_FIELDS], metadata=_METADATA)
CLIP_SCHEMA = pa.schema(
    [
        pa.field("key", pa.string()),
        pa.field("block", pa.int32()),  # number of the speaker block inside the shard
        pa.field("speaker", pa.string()),  # "" when unknown
        pa.field("language", pa.string()),
        pa.field("duration_sec", pa.float64()),
        pa.field("num_samples", pa.int64()),
        pa.field("text_bytes", pa.int32()),
        pa.field("num_code_frames", pa.int32()),  # null without codes
        *_member_fields("audio"),
        *_member_fields("json"),
        *_member_fields("codes"),
    ],
    metadata=_METADATA,
)
"""Columns of the index of a tar of clips. Offsets are of the content, not of the tar header."""
LEVEL_FIELDS = [pa.field("level_lufs", pa.float32()), pa.field("peak", pa.float32())]
"""Columns with the loudness and the largest absolute sample of the audio, both before it is
levelled by a run. Indexes that were made without decoding hold null, older ones lack them."""
AUDIO_SCHEMA = pa.schema([*CLIP_SCHEMA, *LEVEL_FIELDS], metadata=_METADATA)
"""Columns of the index of a tar of clips that `build_shards` writes."""
OPTIONAL_FIELD = pa.field("text", pa.string())
"""A column that only indexes of tars made by others have (`scan.py`): the transcript, where the
reader takes text, language and speaker from the index; null = from the JSON."""
FOREIGN_SCHEMA = pa.schema([*CLIP_SCHEMA, OPTIONAL_FIELD, *LEVEL_FIELDS], metadata=_METADATA)
"""Columns of the index of a tar that others made; a clip may lack `json`."""


class ShardWriter:
    """Write `ROOT/NAME.tar` and `ROOT/NAME.parquet`; equal input gives equal bytes."""

    def __init__(self, root: Path, name: str, schema: pa.Schema) -> None:
        self.name = name
        self._schema = schema
        self._columns: dict[str, list[Any]] = {column: [] for column in schema.names}
        self._index_path = root / f"{name}.parquet"
        path = root / f"{name}.tar"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = _HashingFile(path)
        self._tar = webdataset.TarWriter(self._file, encoder=False, mtime=0)

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    @property
    def num_bytes(self) -> int:
        """Bytes of the tar so far."""
        return self._file.num_bytes

    def add(self, key: str, members: Mapping[str, bytes], **columns: Any) -> None:
        """Append one clip.

        Args:
            key: without dots in its last part (webdataset cuts there).
            members: `audio`, `json`, `codes` -> content.
            **columns: values of the index row; columns of absent members are null.
        """
        row = {"key": key, **columns}
        for member, content in members.items():
            self._tar.write({"__key__": key, SUFFIXES[member]: content})
            padded = -(-len(content) // TAR_BLOCK_BYTES) * TAR_BLOCK_BYTES
            row[f"{member}_offset"] = self._tar.tarstream.offset - padded
            row[f"{member}_length"] = len(content)
            row[f"{member}_crc32"] = zlib.crc32(content)
        for column, values in self._columns.items():
            values.append(row.pop(column, None))
        if row:
            raise ValueError(f"shard {self.name}: no such index columns: {', '.join(row)}")

    def finish(self, seconds: float, source_sha256: str | None = None) -> ShardEntry:
        """Complete tar and index.

        Args:
            seconds: duration of the clips.
            source_sha256: see `ShardEntry`.
        """
        self._tar.close()
        self._file.close()
        table = pa.Table.from_pydict(self._columns, schema=self._schema)
        with named_errors(self._index_path, pa.ArrowException):
            pq.write_table(table, self._index_path, compression="zstd")
        return ShardEntry(
            name=self.name,
            num_clips=table.num_rows,
            seconds=seconds,
            num_bytes=self._file.num_bytes,
            sha256=self._file.digest.hexdigest(),
            source_sha256=source_sha256,
        )


class _HashingFile:
    """A file to write, with the SHA-256 and the number of what was written."""

    def __init__(self, path: Path) -> None:
        self.digest = hashlib.sha256()
        self.num_bytes = 0
        self._path = path
        self._file = path.open("wb")

    def write(self, content: bytes) -> int:
        if self._file.closed:  # tarfile's stream, collected after an error, has its last buffer
            return len(content)
        self.digest.update(content)
        self.num_bytes += len(content)
        with named_errors(self._path):
            return self._file.write(content)

    def close(self) -> None:
        with named_errors(self._path):
            self._file.close()
