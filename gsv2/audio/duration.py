"""Duration of an audio file, from its header as far as that can be believed."""

from __future__ import annotations

import io

import soundfile

from gsv2.audio.container import whole_files
from gsv2.audio.decoding import decode_file
from gsv2.audio.wave import MAX_WAVE_SEC, WaveError


def measure_duration(content: bytes) -> float:
    """Return the seconds that a file of audio lasts.

    What the container says of cuts is read, and the last sample is sought and read, which costs
    well below decoding: a header that says too much is found.

    Args:
        content: bytes of a FLAC, WAV, OGG, Opus or MP3 file.

    Raises:
        WaveError: unreadable, cut off or empty.
    """
    seconds = sum(map(_seconds, whole_files(content)))
    if seconds <= 0:
        raise WaveError("holds no samples")
    return seconds


def _seconds(content: bytes) -> float:
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            frames, rate = int(file.frames), int(file.samplerate)
            if _reaches(file, frames):
                return frames / rate
    except (soundfile.SoundFileError, ValueError) as error:
        raise WaveError("cannot be read as audio") from error
    wave, rate = decode_file(content, rate, MAX_WAVE_SEC)
    return len(wave) / rate


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
