"""Writer of one shard: an ordinary WebDataset tar and the Parquet index beside it."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import webdataset

from gsv2.data.corpus.format import SUFFIXES, TAR_BLOCK_BYTES
from gsv2.data.corpus.manifest import ShardEntry
from gsv2.files import named_errors


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

    def __exit__(self, *_: object) -> None:
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

    def finish(
        self,
        seconds: float,
        source_sha256: str | None = None,
        licences: Mapping[str, float] | None = None,
    ) -> ShardEntry:
        """Complete tar and index.

        Args:
            seconds: duration of all clips.
            source_sha256: see `ShardEntry`, as licences.
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
            licences=None if licences is None else dict(sorted(licences.items())),
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
