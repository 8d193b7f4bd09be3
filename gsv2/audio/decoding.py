"""Decoder of one audio file, to its end, in blocks; a header that says too much is found out."""

from __future__ import annotations

import io

import numpy as np
import soundfile

from gsv2.audio.errors import WaveError, cut_error, too_long_error

_BLOCK_FRAMES = 1 << 20  # decoded at a time
MP3_SLACK_FRAMES = 3 * 1152
"""Frames that an MP3 decoder may leave out where the first blocks lean on ones that are gone."""
_CANCELLED = 10.0 ** (-12.0 / 10.0)
"""Power of the mean of all channels against what channels without relation would have, below
which they cancel."""


def decode_file(
    content: bytes, sample_rate: int, max_sec: float, out: np.ndarray | None = None
) -> tuple[np.ndarray, int]:
    """Return the mean of the channels of a file, and its rate.

    Args:
        content: bytes of a file whose header is right, see `container.whole_files`.
        sample_rate: rate in Hz at which `out` may be used.
        max_sec: longer files are refused before they are decoded.
        out: see `wave.load_wave`.

    Raises:
        WaveError: unreadable, cut, longer than `max_sec`, with NaN or infinite samples, or with
            channels that cancel each other.
    """
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            rate, frames = int(file.samplerate), int(file.frames)
            if frames > max_sec * rate:
                raise too_long_error(frames / rate, max_sec)
            if out is not None and file.channels == 1 and rate == sample_rate:
                wave = _decode_into(file, out) if frames <= len(out) else _decode_blocks(file)
            else:
                wave = _decode_blocks(file)
            slack = MP3_SLACK_FRAMES if file.format == "MP3" else 0
            if len(wave) < frames - slack:
                raise cut_error(frames / rate, len(wave) / rate)
            if not file.subtype.startswith("PCM_") and not np.isfinite(wave).all():
                raise WaveError("holds NaN or infinite samples")
    except WaveError:
        raise
    except (soundfile.SoundFileError, RuntimeError, MemoryError, TypeError, ValueError) as error:
        reason = " ".join(str(getattr(error, "error_string", error)).split())
        raise WaveError(f"cannot be read as audio: {reason or type(error).__name__}") from error
    return wave, rate


def _decode_into(file: soundfile.SoundFile, out: np.ndarray) -> np.ndarray:
    """Decode one channel into given memory, without the seek of `read()`."""
    wave = out[: file.frames]
    return wave[: file.buffer_read_into(wave, "float32")]


def _decode_blocks(file: soundfile.SoundFile) -> np.ndarray:
    """Return the mean of the channels, [N] float32.

    Raises:
        WaveError: the decoder gives up, or the channels cancel each other.
    """
    blocks: list[np.ndarray] = []
    try:
        while len(block := file.read(_BLOCK_FRAMES, dtype="float32")):
            blocks.append(mean_channel(block))
            if len(block) < _BLOCK_FRAMES:
                break
    except soundfile.SoundFileError as error:
        said = file.frames / file.samplerate
        raise WaveError(f"cut: header says {said:.2f} s, the decoder gives up before") from error
    if not blocks:
        return np.zeros(0, dtype=np.float32)
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def mean_channel(block: np.ndarray) -> np.ndarray:
    """Return the mean of [N] or [N, C], if there is anything left of what the channels hold."""
    if block.ndim == 1:
        return block
    wave = block.mean(axis=1)
    num_channels = block.shape[1]
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is told by the caller
        unrelated = float(block.var(axis=0).sum()) / num_channels**2
        if float(wave.var()) < _CANCELLED * unrelated:
            raise WaveError("has channels that cancel each other")
    return wave
