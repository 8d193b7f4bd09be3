"""Packed host objects: tensors of a fixed size, so that most travel in one message."""

from __future__ import annotations

import pickle
from typing import Any

import torch
from torch import Tensor

_LENGTH_BYTES = 8


def pack(value: object, room: int) -> Tensor:
    """Return the length of a pickled object and the first `room` bytes of it, [8 + room] uint8."""
    data = pickle.dumps(value)
    content = len(data).to_bytes(_LENGTH_BYTES) + data[:room].ljust(room, b"\0")
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)


def packed_length(packed: Tensor) -> int:
    """Return how many bytes the object takes; more than there was room for if it is cut."""
    return int.from_bytes(packed[:_LENGTH_BYTES].numpy().tobytes())


def unpack(packed: Tensor) -> Any:
    """Return an object that there was room for."""
    content = packed[_LENGTH_BYTES : _LENGTH_BYTES + packed_length(packed)]
    return pickle.loads(content.numpy().tobytes())
