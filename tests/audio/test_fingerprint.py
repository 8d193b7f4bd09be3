"""Fingerprints of recordings, through real codecs."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import soundfile
import soxr

from gsv2.audio.fingerprint import SIZE, fingerprint, likeness
from gsv2.audio.windowed_spectrum import windowed_spectrum

RATE = 32_000
SAME = 0.95


def utterance(seed: int, seconds: float = 2.0, pitch_hz: float = 120.0) -> np.ndarray:
    """Return [N] float32: one voice that says random vowels of random lengths."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(pitch_hz * (1 + 0.1 * np.sin(2 * np.pi * time))) / RATE
    wave = np.zeros_like(time)
    edges = np.sort(rng.uniform(0, seconds, 9))
    for start, end in pairwise(edges):
        formants = rng.uniform([300, 900, 2200], [900, 2200, 3300])
        inside = slice(*np.searchsorted(time, [start, end]))
        for n in range(1, 40):
            gain = sum(np.exp(-(((n * pitch_hz - f) / 150) ** 2)) for f in formants) + 0.01
            wave[inside] += gain * np.sin(n * phase[inside])
    noise = 0.002 * rng.standard_normal(len(time))
    return (0.1 * wave / np.abs(wave).max() + noise).astype(np.float32)


def through(wave: np.ndarray, rate: int, kind: str, subtype: str, level: float) -> np.ndarray:
    """Return a wave as a codec gives it back."""
    buffer = io.BytesIO()
    resampled = soxr.resample(wave, RATE, rate)
    soundfile.write(buffer, resampled, rate, format=kind, subtype=subtype, compression_level=level)
    back, _ = soundfile.read(io.BytesIO(buffer.getvalue()), dtype="float32")
    return soxr.resample(back, rate, RATE)


def telephone(wave: np.ndarray) -> np.ndarray:
    return soxr.resample(soxr.resample(wave, RATE, 8_000), 8_000, RATE)


def print_of(wave: np.ndarray) -> np.ndarray | None:
    return fingerprint(windowed_spectrum(wave, RATE))


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "softer": lambda wave: 0.03 * wave,
    "mp3": lambda wave: through(wave, RATE, "MP3", "MPEG_LAYER_III", 0.5),
    "small mp3": lambda wave: through(wave, RATE, "MP3", "MPEG_LAYER_III", 0.99),
    "opus": lambda wave: through(wave, 48_000, "OGG", "OPUS", 0.5),
    "vorbis": lambda wave: through(wave, RATE, "OGG", "VORBIS", 0.7),
    "telephone": telephone,
    "delay of a codec": lambda wave: np.concatenate([np.zeros(800, np.float32), wave]),
    "mp3 of an opus, softer": lambda wave: CHANGES["mp3"](0.3 * CHANGES["opus"](wave)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_same_recording_has_about_the_same_fingerprint(change):
    for seed in range(2):
        wave = utterance(seed)
        found = print_of(CHANGES[change](wave))
        assert found.shape == (SIZE,)
        assert likeness(found, print_of(wave)) > SAME


def test_other_sentences_of_one_voice_have_others():
    prints = [print_of(utterance(seed)) for seed in range(10)]
    alike = [likeness(a, b) for n, a in enumerate(prints) for b in prints[:n]]
    assert max(alike) < 0.8


def test_what_has_no_pattern_has_none():
    tone = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    for wave in (np.zeros(RATE), tone, utterance(0)[:2000]):
        assert print_of(wave) is None


def test_noises_under_one_envelope_are_others():
    envelope = np.sin(np.arange(RATE) / 3000) ** 2
    noises = [np.random.default_rng(seed).standard_normal(RATE) * envelope for seed in range(2)]
    assert likeness(*[print_of(noise) for noise in noises]) < 0.5
