"""Part of a corpus that is held out: clips chosen by a hash of their keys, without a list of them.

The choice depends on the key and the share alone: it is the same in every process, and a larger
share holds out the same clips and more.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Literal

import numpy as np
import pyarrow as pa

Part = Literal["all", "train", "heldout"]

_HASH_BYTES = 8


def held_out(keys: pa.Array, share: float) -> np.ndarray:
    """Tell which clips of a shard are held out.

    Args:
        keys: [n] keys.
        share: about so many of all clips are, 0..1.

    Returns:
        [n] bool.
    """
    limit = round(share * 256**_HASH_BYTES)
    return np.fromiter((_hash(key.as_py()) < limit for key in keys), dtype=bool, count=len(keys))


def in_part(keys: pa.Array, part: Part, share: float) -> np.ndarray:
    """Tell which clips of a shard belong to a part, [n] bool."""
    if part == "all":
        return np.ones(len(keys), dtype=bool)
    return held_out(keys, share) == (part == "heldout")


def _hash(key: str) -> int:
    digest = blake2b(key.encode(), digest_size=_HASH_BYTES, person=b"held out").digest()
    return int.from_bytes(digest, "big")
