"""Host objects in tensors of a fixed size, so that most travel between ranks in one message."""

from __future__ import annotations

import pickle
from typing import Any

import torch
from torch import Tensor

_LENGTH_BYTES = 8


def pack(value: object, room: int) -> Tensor:
    """Return the length of a pickled object and the first `room` bytes of it, [8 + room] uint8."""
    data = pickle.dumps(value)
    packed = len(data).to_bytes(_LENGTH_BYTES) + data[:room].ljust(room, b"\0")
    return torch.frombuffer(bytearray(packed), dtype=torch.uint8)


def packed_length(box: Tensor) -> int:
    """Return how many bytes the object takes; more than the box has room for if it is cut."""
    return int.from_bytes(box[:_LENGTH_BYTES].numpy().tobytes())


def unpack(box: Tensor) -> Any:
    """Return the object of a box that had room for it."""
    return pickle.loads(box[_LENGTH_BYTES : _LENGTH_BYTES + packed_length(box)].numpy().tobytes())
