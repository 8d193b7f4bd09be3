"""Text vectors of a clip as the bytes of an npy file: [S, D] float16, no pickle."""

from __future__ import annotations

import io

import numpy as np

from gsv2.data.corpus.errors import ClipError

_MEMBER = "text_vectors"


def encode_vectors(vectors: np.ndarray) -> bytes:
    """Return [S, D] vectors as the bytes of an npy file of float16.

    Raises:
        ValueError: not [S, D], empty, or a value that is not finite in float16.
    """
    if vectors.ndim != 2 or vectors.size == 0:
        raise ValueError(f"text vectors must be [S, D] and not empty, but are {vectors.shape}")
    with np.errstate(over="ignore"):
        halves = np.ascontiguousarray(vectors, dtype=np.float16)
    if not np.isfinite(halves).all():
        raise ValueError("text vectors must be finite in float16, but are not")
    buffer = io.BytesIO()
    np.save(buffer, halves, allow_pickle=False)
    return buffer.getvalue()


def decode_vectors(content: bytes | memoryview) -> np.ndarray:
    """Return [S, D] float16.

    Raises:
        ClipError: not an npy file of that, or with values that are not finite.
    """
    try:
        vectors = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, TypeError, EOFError, OSError) as error:
        raise ClipError("text vectors are no npy file", _MEMBER) from error
    is_array = isinstance(vectors, np.ndarray)
    if not is_array or vectors.dtype != np.float16 or vectors.ndim != 2 or not vectors.size:
        kind = "text vectors are not float16 [S, D]"
        found = f": found {vectors.dtype} {vectors.shape}" if is_array else ""
        raise ClipError(kind + found, _MEMBER, kind)
    if not np.isfinite(vectors).all():
        raise ClipError("text vectors are not finite", _MEMBER)
    return vectors
