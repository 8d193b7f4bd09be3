"""Fingerprints of the clips of a shard, beside its index: clips that are added are compared.

`NAME.fingerprints` holds 512 bytes a clip, in the order of the index; zeros for a clip without one.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gsv2.audio.fingerprint import SIZE
from gsv2.data.corpus.manifest import CorpusError
from gsv2.files import named_errors

SUFFIX = ".fingerprints"


def decode_fingerprint(text: str) -> np.ndarray:
    """Return [SIZE] int8 of a fingerprint in base 64."""
    return np.frombuffer(base64.b64decode(text), dtype=np.int8)


def write_fingerprints(folder: Path, shard: str, fingerprints: Sequence[str | None]) -> None:
    """Write those of the clips of a shard.

    Args:
        folder: corpus folder.
        shard: name of the shard.
        fingerprints: in base 64; None: the clip has none.
    """
    none = np.zeros(SIZE, dtype=np.int8)
    path = folder / f"{shard}{SUFFIX}"
    with named_errors(path), path.open("wb") as file:
        for found in fingerprints:
            file.write((none if found is None else decode_fingerprint(found)).tobytes())


def read_fingerprints(folder: Path, shard: str, num_clips: int) -> np.ndarray | None:
    """Return [clips, SIZE] int8, mapped into memory; None where the shard has no such file.

    Raises:
        CorpusError: the file is not one of so many clips.
    """
    path = folder / f"{shard}{SUFFIX}"
    if not path.is_file():
        return None
    if (size := path.stat().st_size) != num_clips * SIZE:
        raise CorpusError(
            f"{path} must have {SIZE} bytes for each of {num_clips} clips, but has {size}; without "
            "it, clips are compared by their bytes alone"
        )
    return np.memmap(path, dtype=np.int8, mode="r", shape=(num_clips, SIZE))
