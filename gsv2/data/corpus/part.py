"""Part of a corpus that is held out: clips chosen by a hash of their keys, without a list of them.

The choice depends on the key and the share alone: it is the same in every process, and a larger
share holds out the same clips and more.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Literal

import numpy as np
import pyarrow as pa

Part = Literal["all", "train", "heldout"]

_HASH_BYTES = 8
_HASHES = 256**_HASH_BYTES


def held_out(keys: pa.Array, share: float) -> np.ndarray:
    """Tell which clips of a shard are held out.

    Args:
        keys: [n] keys.
        share: about so many of all clips are, 0..1.

    Returns:
        [n] bool.
    """
    return _hashes(keys) < np.uint64(round(share * _HASHES))


def in_part(keys: pa.Array, part: Part, share: float) -> np.ndarray:
    """Tell which clips of a shard belong to a part, [n] bool."""
    if part == "all":
        return np.ones(len(keys), dtype=bool)
    return held_out(keys, share) == (part == "heldout")


def share_of(parts: Iterable[pa.Array], count: int) -> float:
    """Return the share that holds out exactly so many clips of a corpus.

    Args:
        parts: keys, shard by shard; 8 bytes a clip are held.
        count: number of clips to hold out, at least 1 and below the number of all.
    """
    hashes = np.concatenate([_hashes(keys) for keys in parts])
    if not 1 <= count < len(hashes):
        raise ValueError(f"1 to {len(hashes) - 1} clips can be held out, but not {count}")
    last, following = np.partition(hashes, [count - 1, count])[count - 1 : count + 1]
    return (int(last) + int(following)) / (2 * _HASHES)


def _hashes(keys: pa.Array) -> np.ndarray:
    """Return [n] uint64, spread evenly."""
    digests = (blake2b(key.as_py().encode(), digest_size=_HASH_BYTES) for key in keys)
    numbers = (int.from_bytes(digest.digest(), "big") for digest in digests)
    return np.fromiter(numbers, dtype=np.uint64, count=len(keys))
