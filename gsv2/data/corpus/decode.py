"""Decoder of the members of a clip: audio, JSON and plain npy, none of which can run code."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import orjson

from gsv2.audio.level import Level, apply_level, check_level, measure_level
from gsv2.audio.wave import WaveError, load_wave
from gsv2.data.corpus.alignment import (
    AlignmentContentError,
    check_alignment,
    decode_alignment,
)
from gsv2.data.corpus.code_format import CodeFormat, CodesError
from gsv2.data.corpus.errors import ClipError as ClipError
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.data.corpus.text_vectors import decode_vectors
from gsv2.text.normalize import TextError, normalize_text

MEMBERS = ("audio", "codes", "align", "text_vectors")
"""What a stage may ask for; what is said is always read."""

LENGTH_TOLERANCE_SEC = 0.1
"""Seconds by which audio may differ from what the index says, as headers of MP3 and Opus do."""

_ANY_CODES = CodeFormat()
_NPY_HEADER_BYTES = 128
"""Size of the header of an npy file that numpy >= 1.14 wrote, and so of ours."""


Transcript = tuple[str, str, str]
"""Text, language and speaker of a clip."""


class Clip(NamedTuple):
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
    """[N] float32 at `SAMPLE_RATE`, levelled as references of synthesis are."""
    codes: np.ndarray | None = None
    """[K, T] uint16, read-only: it may be the memory of the tar."""
    alignment: np.ndarray | None = None
    """[T] uint16: character of the text that is spoken at each code frame."""
    text_vectors: np.ndarray | None = None
    """[S, D] float16: vector of each token of the text."""


AlignClip = Callable[[Clip], np.ndarray]
"""Clip with codes -> its alignment [T] uint16; raises `ClipError` where there is none. It goes to
the data workers, so it can be pickled."""


class ClipRow(NamedTuple):
    """One clip as the index describes it; None = the index does not hold it."""

    row: int
    """Row of the index."""
    key: str
    shard: str
    """Name of its shard."""
    transcript: Transcript | None = None
    """Text, language and speaker; else they are read from the JSON."""
    level: Level | None = None
    """Loudness and peak of the audio; else it is measured."""
    num_samples: int | None = None
    """Samples of the audio; audio of another length is refused."""
    num_code_frames: int | None = None
    """Frames of the codes; codes of another length are refused."""


def decode_clip(
    clip: ClipRow,
    members: Mapping[str, bytes | memoryview],
    code_format: CodeFormat = _ANY_CODES,
    out: np.ndarray | None = None,
) -> Clip:
    """Decode the members that were read.

    Args:
        members: contents of any of `MEMBERS`, and `json` unless there is a transcript.
        code_format: format that the codes must have.
        out: memory for the wave, see `load_wave`.

    Raises:
        ClipError: a member is not what it should be.
    """
    row, key, shard, transcript, level, num_samples, num_code_frames = clip
    text, language, speaker = transcript or decode_json(members["json"])
    try:
        text = normalize_text(text)
    except TextError as error:
        raise ClipError("text has nothing to speak", "json") from error
    wave = _decode_audio(members["audio"], out, level, num_samples) if "audio" in members else None
    codes = decode_codes(members["codes"]) if "codes" in members else None
    if codes is not None:
        try:
            code_format.check(codes, num_code_frames, num_samples)
        except CodesError as error:
            raise ClipError(str(error), "codes", error.kind) from error
    alignment = _decode_alignment(members["align"], codes, text) if "align" in members else None
    vectors = decode_vectors(members["text_vectors"]) if "text_vectors" in members else None
    return Clip(row, key, shard, text, language, speaker, wave, codes, alignment, vectors)


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
    """Return [K, T] uint16, a read-only view of `content`.

    Raises:
        ClipError: not an npy file of uint16 [K, T].
    """
    place = _plain_codes(bytes(content[:_NPY_HEADER_BYTES]))
    try:
        if place is not None:
            shape, start = place
            return np.ndarray(shape, np.uint16, content, start)
        codes = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, TypeError, EOFError, OSError) as error:  # TypeError: content is too short
        raise ClipError("codes are no npy file", "codes") from error
    if not isinstance(codes, np.ndarray) or codes.dtype != np.uint16 or codes.ndim != 2:
        kind = "codes are not uint16 [K, T]"
        found = f": found {codes.dtype} {codes.shape}" if isinstance(codes, np.ndarray) else ""
        raise ClipError(kind + found, "codes", kind)
    if codes.size == 0:
        raise ClipError("codes are empty", "codes")
    codes.flags.writeable = False
    return codes


@lru_cache(maxsize=4096)  # few headers are ever seen: one for each number of frames
def _plain_codes(header: bytes) -> tuple[tuple[int, int], int] | None:
    """Return the shape [K, T] of the codes and where they start; None = numpy has to look."""
    file = io.BytesIO(header)
    try:
        if np.lib.format.read_magic(file) != (1, 0):
            return None
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
    except ValueError:
        return None
    if len(shape) != 2 or min(shape) == 0 or dtype != np.uint16 or fortran_order:
        return None
    return (shape[0], shape[1]), file.tell()


def decode_json(content: bytes | memoryview) -> Transcript:
    """Return what the JSON of a clip says, as it is written there.

    Raises:
        ClipError: it is no JSON, or lacks text, language or speaker.
    """
    try:
        try:
            fields = orjson.loads(content)
        except orjson.JSONDecodeError:  # NaN and lone surrogates are Python's JSON alone
            fields = json.loads(bytes(content))
        said = fields["text"], fields["language"], fields["speaker"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ClipError("json has no text, language and speaker", "json") from error
    if not (type(said[0]) is type(said[1]) is type(said[2]) is str):
        raise ClipError("json has no text, language and speaker", "json")
    return said


def _decode_alignment(
    content: bytes | memoryview, codes: np.ndarray | None, text: str
) -> np.ndarray:
    try:
        characters = decode_alignment(content)
        check_alignment(characters, len(characters) if codes is None else codes.shape[1], text)
    except AlignmentContentError as error:
        raise ClipError(str(error), "align", error.kind) from error
    return characters


def _decode_audio(
    content: bytes | memoryview,
    out: np.ndarray | None,
    level: Level | None,
    num_samples: int | None,
) -> np.ndarray:
    try:
        if num_samples is None:
            wave = load_wave(content, SAMPLE_RATE, out)
        else:
            said_sec = num_samples / SAMPLE_RATE
            wave = load_wave(content, SAMPLE_RATE, out, said_sec + LENGTH_TOLERANCE_SEC)
            if len(wave) / SAMPLE_RATE < said_sec - LENGTH_TOLERANCE_SEC:
                raise WaveError(
                    f"is cut: lasts {len(wave) / SAMPLE_RATE:.2f} s, not {said_sec:.2f} s"
                )
        if level is None:
            level = measure_level(wave, SAMPLE_RATE)
        else:
            check_level(level)
    except WaveError as error:
        raise ClipError(f"audio {error.reason}", "audio") from error
    return apply_level(wave, level)
