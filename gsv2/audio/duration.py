"""How long a file of audio lasts, from its header."""

from __future__ import annotations

import io

import numpy as np
import soundfile

from gsv2.audio.wave import WaveError

_BLOCK_FRAMES = 1 << 16  # decoded at a time


def measure_duration(content: bytes, *, decode: bool = False) -> float:
    """Return the seconds that a file of audio lasts.

    The last sample is sought and read, which costs well below decoding: a header that says too
    much (a FLAC file that was cut, an MP3 file of variable rate without a table) is found, and the
    file is decoded to know.

    Args:
        content: of a FLAC, WAV, OGG, Opus or MP3 file.
        decode: decode it in any case, which also finds NaN.

    Raises:
        WaveError: unreadable, cut off, empty, or with NaN or infinite samples, in fixed phrases.
    """
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            frames, rate = int(file.frames), int(file.samplerate)
            honest = not decode and _reaches(file, frames)
        if not honest:
            frames = _decoded_frames(content, promised=frames)
    except (soundfile.SoundFileError, OSError) as error:
        raise WaveError("audio cannot be read") from error
    if frames <= 0 or rate <= 0:
        raise WaveError("audio is empty")
    return frames / rate


def _reaches(file: soundfile.SoundFile, frames: int) -> bool:
    """Tell whether the last frame is there.

    Nothing is promised for an empty file, and OGG has no such header: its frames are counted at
    its last page, while seeking costs milliseconds.
    """
    if frames <= 0 or file.format == "OGG":
        return True
    try:
        file.seek(frames - 1)
        return len(file.read(1)) == 1
    except soundfile.SoundFileError:
        return False


def _decoded_frames(content: bytes, promised: int) -> int:
    """Return how many frames there are, where the header promises some."""
    frames = 0
    with soundfile.SoundFile(io.BytesIO(content)) as file:
        try:
            while len(block := file.read(_BLOCK_FRAMES, dtype="float32")):
                frames += len(block)
                if not np.isfinite(block).all():
                    raise WaveError("audio holds NaN or infinite samples")
        except soundfile.SoundFileError as error:
            raise WaveError("audio ends before its header says") from error
        if file.format == "FLAC" and frames < promised:
            raise WaveError("audio ends before its header says")
    return frames
