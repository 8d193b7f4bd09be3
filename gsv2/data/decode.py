"""Bytes of a clip's members -> arrays. Nothing here can run code: FLAC, JSON and plain npy only."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gsv2.audio.wave import WaveError, load_wave
from gsv2.data.schema import SAMPLE_RATE
from gsv2.text.normalize import TextError, normalize_text

MEMBERS = ("audio", "codes")
"""What a stage may ask for; the JSON is always read."""


class ClipError(ValueError):
    """A clip that cannot be read.

    Args:
        reason: a fixed phrase, by which clips are counted.
        member: that is missing or damaged.
    """

    def __init__(self, reason: str, member: str) -> None:
        super().__init__(reason)
        self.member = member


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One clip, decoded."""

    row: int
    """Row of the index."""
    key: str
    shard: str
    """Name of its shard."""
    text: str
    language: str
    speaker: str
    wave: np.ndarray | None = None
    """[N] float32 at `SAMPLE_RATE`."""
    codes: np.ndarray | None = None
    """[K, T] int64."""


def decode_clip(row: int, key: str, shard: str, members: Mapping[str, bytes | memoryview]) -> Clip:
    """Decode the members that were read.

    Args:
        row: of the index.
        key: of the clip.
        shard: name of its shard.
        members: `json` and any of `MEMBERS`.

    Raises:
        ClipError: a member is not what it should be.
    """
    fields = _decode_json(members["json"])
    return Clip(
        row=row,
        key=key,
        shard=shard,
        text=fields["text"],
        language=fields["language"],
        speaker=fields["speaker"],
        wave=_decode_audio(members["audio"]) if "audio" in members else None,
        codes=decode_codes(members["codes"]) if "codes" in members else None,
    )


def encode_codes(codes: np.ndarray) -> bytes:
    """Return [K, T] codes as the bytes of an npy file of uint16.

    Raises:
        ValueError: not [K, T], empty, or a code outside 0..65535.
    """
    if codes.ndim != 2 or codes.size == 0 or not np.issubdtype(codes.dtype, np.integer):
        raise ValueError(f"codes must be integers [K, T], but are {codes.dtype} {codes.shape}")
    if codes.min() < 0 or codes.max() > np.iinfo(np.uint16).max:
        raise ValueError(f"codes must lie in 0..65535, but lie in {codes.min()}..{codes.max()}")
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(codes, dtype=np.uint16), allow_pickle=False)
    return buffer.getvalue()


def decode_codes(content: bytes | memoryview) -> np.ndarray:
    """Return [K, T] int64.

    Raises:
        ClipError: not an npy file of uint16 [K, T].
    """
    try:
        codes = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ClipError("codes are no npy file", "codes") from error
    if not isinstance(codes, np.ndarray) or codes.dtype != np.uint16 or codes.ndim != 2:
        raise ClipError("codes are not uint16 [K, T]", "codes")
    if codes.size == 0:
        raise ClipError("codes are empty", "codes")
    return codes.astype(np.int64)


def _decode_json(content: bytes | memoryview) -> dict[str, str]:
    try:
        fields = json.loads(bytes(content))
        texts = {name: fields[name] for name in ("text", "language", "speaker")}
    except (ValueError, KeyError, TypeError) as error:
        raise ClipError("json has no text, language and speaker", "json") from error
    if not all(isinstance(value, str) for value in texts.values()):
        raise ClipError("json has no text, language and speaker", "json")
    try:
        return {**texts, "text": normalize_text(texts["text"])}
    except TextError as error:
        raise ClipError("text has nothing to speak", "json") from error


def _decode_audio(content: bytes | memoryview) -> np.ndarray:
    try:
        return load_wave(content, SAMPLE_RATE)
    except WaveError as error:
        raise ClipError(str(error), "audio") from error
