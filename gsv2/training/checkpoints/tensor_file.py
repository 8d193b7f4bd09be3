"""Safetensors files, hashed while they are written.

The format is a length, a JSON header and the tensors' bytes (huggingface.co/docs/safetensors);
what is written here is byte for byte what the library's `save_file` writes. The library offers
no stream, so that a checksum would cost a second read of gigabytes, and every byte here goes to
the disk from the memory that holds it: no other copy is made.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from gsv2.files import named_errors

_CHUNK = 8 << 20
"""Bytes between two chances for the training thread."""
_ALIGNMENT = 8
_DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8",
    torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip
_ORDER = ("I64", "F64", "F32", "I32", "BF16", "F16", "I16", "I8", "U8", "BOOL")
"""Widest first, so that every tensor is aligned."""


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """Write a safetensors file and bring it to disk.

    Args:
        path: path of a file that does not exist.
        tensors: tensors on the host, contiguous.

    Returns:
        SHA-256 of the file.

    Raises:
        OSError: the disk is full, or fails.
    """
    ordered = sorted(tensors, key=lambda name: (_ORDER.index(_DTYPES[tensors[name].dtype]), name))
    header = _header(tensors, ordered, metadata)
    return write_hashed(path, [header, *(_bytes(tensors[name]) for name in ordered)])


def write_hashed(path: Path, parts: Iterable[bytes | memoryview]) -> str:
    """Write parts one after the other, bring them to disk, return their SHA-256."""
    digest = hashlib.sha256()
    # Unbuffered: a loader's worker forked meanwhile must not inherit bytes that are still to go.
    with named_errors(path), path.open("xb", buffering=0) as stream:
        for part in parts:
            for chunk in _chunks(part):
                digest.update(chunk)
                _write_all(stream, chunk)
        os.fsync(stream.fileno())
    return digest.hexdigest()


def _write_all(stream: io.FileIO, chunk: memoryview) -> None:
    while len(chunk):
        chunk = chunk[stream.write(chunk) :]


def _header(
    tensors: Mapping[str, Tensor], ordered: Iterable[str], metadata: Mapping[str, str]
) -> bytes:
    entries: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    position = 0
    for name in ordered:
        tensor = tensors[name]
        stop = position + tensor.numel() * tensor.element_size()
        entries[name] = {
            "dtype": _DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [position, stop],
        }
        position = stop
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def _bytes(tensor: Tensor) -> memoryview:
    """Return the memory of a contiguous tensor."""
    return tensor.reshape(-1).view(torch.uint8).numpy().data


def _chunks(part: bytes | memoryview) -> Iterator[memoryview]:
    view = memoryview(part)
    for start in range(0, len(view), _CHUNK):
        yield view[start : start + _CHUNK]
