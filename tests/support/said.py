"""A few sentences, the tones that stand for them, and files that hold them."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

RATE = 16_000
SECONDS = 0.6
PAUSE = 0.1
"""Silence between the sentences of a long recording, in seconds."""


class Said(NamedTuple):
    """One sentence, which a tone stands for."""

    name: str
    speaker: str
    text: str
    tone_hz: float


SAID = (
    Said("0001", "anna", 'He said: "go | now", twice.', 300.0),
    Said("0002", "anna", "She read the old book.", 420.0),
    Said("0003", "bert", "Nous allons à l’été.", 560.0),
    Said("0004", "bert", "One, two; three.", 700.0),
)
PLAIN = tuple(said._replace(text=said.text.replace("|", "and")) for said in SAID)
"""The same without a pipe, for layouts whose columns it separates."""


def wave_of(said: Said, rate: int = RATE) -> np.ndarray:
    """Return [N] float32: the tone of a sentence."""
    time = np.arange(round(SECONDS * rate)) / rate
    return (0.2 * np.sin(2 * np.pi * said.tone_hz * time)).astype(np.float32)


def tone_of(wave: np.ndarray, rate: int) -> float:
    """Return the strongest frequency of a wave, in Hz."""
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    return float(spectrum.argmax() * rate / len(wave))


def audio_bytes(said: Said, kind: str = "WAV", rate: int = RATE) -> bytes:
    """Return a file of the tone."""
    buffer = io.BytesIO()
    soundfile.write(buffer, wave_of(said, rate), rate, format=kind)
    return buffer.getvalue()


def put(path: Path, content: bytes | str) -> Path:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def put_long(path: Path, kind: str = "FLAC") -> list[tuple[float, float]]:
    """Write all sentences as one recording, and return where each begins and ends."""
    pause = np.zeros(round(PAUSE * RATE), dtype=np.float32)
    waves = [part for said in SAID for part in (wave_of(said), pause)]
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.concatenate(waves), RATE, format=kind)
    starts = [number * (SECONDS + PAUSE) for number in range(len(SAID))]
    return [(start, start + SECONDS) for start in starts]


def put_tar(path: Path, members: list[tuple[str, bytes]]) -> Path:
    """Write a tar."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path
