"""Hashes by which codes know the quantizer that made them.

What decides codes is hashed: settings and weights of the speech encoder, normalisation, encoder and
codebooks. The decoder is not, which no code depends on. Older files know quantizers by the hash of
their codebooks alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

_HASH_LENGTH = 16
"""Hexadecimal digits of a hash."""


def hash_of(settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """Return the hash of plain values and named tensors."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {tuple(value.shape)}".encode())
        digest.update(_bytes(value))
    return digest.hexdigest()[:_HASH_LENGTH]


def codebook_hash(entries: Tensor) -> str:
    """Return the hash of codebooks [K, V, d] alone, as older files have it."""
    digest = hashlib.sha256(str(tuple(entries.shape)).encode())
    digest.update(_bytes(entries))
    return digest.hexdigest()[:_HASH_LENGTH]


def _bytes(value: Tensor) -> bytes:
    return value.detach().to("cpu", torch.float32).contiguous().numpy().tobytes()
