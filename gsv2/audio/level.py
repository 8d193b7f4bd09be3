"""Level of a clip: its loudness, whether speech can have it, and the one gain that levels it.

The same rule holds when a corpus is written, in training, and for references of synthesis.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from gsv2.audio.errors import WaveError
from gsv2.audio.wave import TARGET_LUFS, loudness_gain, measure_loudness

MIN_LUFS = -70.0
"""Absolute gate of BS.1770: quieter audio is silence."""
MAX_PEAK = 10.0
"""Largest sample of audio whose full scale is 1; samples in the range of int16 lie above it."""
_EDGE_SEC = 0.05
"""Length of both ends of a clip, where resampling makes ringing of a constant."""
_SAME_GAIN = 0.01
"""Distance from 1 below which a gain is left out."""


class Level(NamedTuple):
    """Loudness and peak of a clip."""

    lufs: float
    """Integrated loudness (BS.1770-4); of a clip shorter than its block of 0.4 s, that of the clip
    repeated."""
    peak: float
    """Largest absolute sample."""

    def amplified(self, gain: float) -> Level:
        """Return the level after a gain."""
        return Level(self.lufs + 20 * math.log10(gain), self.peak * gain)


def measure_level(wave: np.ndarray, sample_rate: int) -> Level:
    """Measure a clip.

    Args:
        wave: [N] float32.
        sample_rate: rate in Hz.

    Raises:
        WaveError: speech cannot have this level: silence, a constant, samples beyond `MAX_PEAK`,
            NaN or infinite samples.
    """
    peak = float(np.abs(wave).max(initial=0.0))
    if not math.isfinite(peak):
        raise WaveError("holds NaN or infinite samples")
    if peak > MAX_PEAK:
        raise WaveError(
            f"has an absurd level: a sample of {peak:.4g}, where full scale is 1",
            measured=peak,
            threshold=MAX_PEAK,
        )
    mean = float(wave.mean(dtype=np.float64)) if wave.size else 0.0
    edge = min(round(_EDGE_SEC * sample_rate), wave.size // 4)
    moves = float(wave[edge : wave.size - edge].std(dtype=np.float64)) if wave.size else 0.0
    is_still = moves < 10.0 ** (MIN_LUFS / 20.0)
    lufs = -math.inf if is_still else measure_loudness(wave - np.float32(mean), sample_rate)
    level = Level(lufs, peak)
    check_level(level, mean)
    return level


def check_level(level: Level, mean: float = 0.0) -> None:
    """Check that speech can have a level.

    Args:
        level: measured now, or stored in an index.
        mean: mean of the samples, if it is known.

    Raises:
        WaveError: speech cannot have it.
    """
    if not level.peak <= MAX_PEAK:
        raise WaveError(
            f"has an absurd level: a sample of {level.peak:.4g}, where full scale is 1",
            measured=level.peak,
            threshold=MAX_PEAK,
        )
    if not level.lufs >= MIN_LUFS:
        constant = abs(mean) > level.peak / 2 > 0
        what = f"is only a constant of {mean:.3f}" if constant else "is silent"
        raise WaveError(
            f"{what}: {level.lufs:.1f} LUFS, at least {MIN_LUFS:.0f} is needed",
            measured=level.lufs if math.isfinite(level.lufs) else None,
            threshold=MIN_LUFS,
        )


def apply_level(wave: np.ndarray, level: Level, target_lufs: float = TARGET_LUFS) -> np.ndarray:
    """Bring a clip to a loudness, or as near as `PEAK_LIMIT` allows.

    Args:
        wave: [N] float32; changed in place.
        level: level of the clip.
        target_lufs: loudness to reach.

    Returns:
        `wave`.
    """
    gain = level_gain(level, target_lufs)
    if abs(gain - 1) > _SAME_GAIN:
        wave *= np.float32(gain)
    return wave


def level_gain(level: Level, target_lufs: float = TARGET_LUFS) -> float:
    """Return the factor that brings a clip to a loudness, its peak at most to `PEAK_LIMIT`."""
    return loudness_gain(level.lufs, level.peak, target_lufs)
