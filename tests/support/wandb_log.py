"""What the real wandb has written offline: its log is a LevelDB log of protobuf records."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

_FILE_HEADER = 7
_BLOCK = 32768
_CHUNK = struct.Struct("<IHB")  # checksum, length, kind
_LAST_KINDS = (1, 4)  # a whole record, the last chunk of one
_TIMEOUT_SEC = 20.0


def read_rows(run: Path) -> list[dict[str, Any]]:
    """Return the rows that all launches of a run have logged, without wandb's own keys."""
    return _rows_of(_read_records(run))


def rows_so_far(run: Path) -> list[dict[str, Any]]:
    """Return the rows that are on the disk, of launches that may have no end."""
    files = sorted((run / "wandb").glob("offline-run-*/*.wandb"))
    return _rows_of(record for path in files for record in _parse(path.read_bytes()))


def _rows_of(records: Iterable[Any]) -> list[dict[str, Any]]:
    rows = []
    for record in records:
        if record.WhichOneof("record_type") == "history":
            items = {"/".join(i.nested_key) or i.key: i.value_json for i in record.history.item}
            rows.append({k: json.loads(v) for k, v in items.items() if not k.startswith("_")})
    return rows


def read_values(run: Path, kind: str, name: str) -> list[Any]:
    """Return one value of every record of a kind, e.g. `run`, `run_id`."""
    found = [r for r in _read_records(run) if r.WhichOneof("record_type") == kind]
    return [getattr(getattr(record, kind), name) for record in found]


def _read_records(run: Path) -> list[Any]:
    """Return the records of all launches; wandb's own process may still be writing them."""
    records: list[Any] = []
    for path in sorted((run / "wandb").glob("offline-run-*/*.wandb")):
        deadline = time.monotonic() + _TIMEOUT_SEC
        while not (of_launch := list(_parse(path.read_bytes()))) or not of_launch[-1].HasField(
            "exit"
        ):
            assert time.monotonic() < deadline, f"{path} has no end"
            time.sleep(0.01)
        records += of_launch
    return records


def _parse(content: bytes) -> Iterator[Any]:
    place, chunks = _FILE_HEADER, b""
    while place + _CHUNK.size <= len(content):
        left = _BLOCK - place % _BLOCK
        if left < _CHUNK.size:
            place += left
            continue
        _, length, kind = _CHUNK.unpack_from(content, place)
        place += _CHUNK.size + length
        chunks += content[place - length : place]
        if kind in _LAST_KINDS:
            record = wandb_internal_pb2.Record()
            record.ParseFromString(chunks)
            chunks = b""
            yield record
