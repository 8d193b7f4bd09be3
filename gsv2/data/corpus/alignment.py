"""Alignment of a clip with its text: the character that is spoken at each of its code frames."""

from __future__ import annotations

import io

import numpy as np


class AlignmentContentError(ValueError):
    """An alignment that does not fit its clip.

    Args:
        kind: a fixed phrase, by which clips are counted.
        values: value that is there, and that which should be.
    """

    def __init__(self, kind: str, values: str) -> None:
        super().__init__(f"{kind}: {values}" if values else kind)
        self.kind = kind


def encode_alignment(characters: np.ndarray) -> bytes:
    """Return characters [T] as the bytes of an npy file of uint16.

    Raises:
        ValueError: not [T], empty, or a character outside 0..65535.
    """
    if characters.ndim != 1 or not characters.size:
        raise ValueError(f"characters must be [T], but are {characters.shape}")
    if characters.min() < 0 or characters.max() > np.iinfo(np.uint16).max:
        least, most = characters.min(), characters.max()
        raise ValueError(f"characters must lie in 0..65535, but lie in {least}..{most}")
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(characters, dtype=np.uint16), allow_pickle=False)
    return buffer.getvalue()


def decode_alignment(content: bytes | memoryview) -> np.ndarray:
    """Return [T] uint16.

    Raises:
        AlignmentContentError: not an npy file of uint16 [T].
    """
    try:
        characters = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, TypeError, EOFError, OSError) as error:
        raise AlignmentContentError("alignment is no npy file", "") from error
    if not isinstance(characters, np.ndarray) or characters.dtype != np.uint16:
        raise AlignmentContentError("alignment is not uint16 [T]", "")
    if characters.ndim != 1 or not characters.size:
        raise AlignmentContentError("alignment is not uint16 [T]", str(characters.shape))
    return characters


def check_alignment(characters: np.ndarray, num_frames: int, text: str) -> None:
    """Check an alignment against its clip.

    Args:
        characters: [T] uint16.
        num_frames: number of frames of the clip's codes.
        text: text as `normalize_text` returns it.

    Raises:
        AlignmentContentError: another T, an order that no reader has, or another text's.
    """
    if len(characters) != num_frames:
        kind = "alignment is not as long as its codes"
        raise AlignmentContentError(kind, f"{len(characters)} frames, not {num_frames}")
    if (np.diff(characters.astype(np.int64)) < 0).any():
        raise AlignmentContentError("alignment goes backwards", "")
    if int(characters[-1]) != len(text) - 1:
        kind = "alignment is not of this text"
        raise AlignmentContentError(kind, f"ends at {characters[-1]} of {len(text)} characters")
