"""Format of a quantizer's codes: their number of codebooks, their range, and their rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from gsv2.data.corpus.format import SAMPLE_RATE

_LENGTH_TOLERANCE = 0.25
"""Share by which codes may be longer or shorter than their audio: padding and rounding are less,
codes of another rate are more."""
_LENGTH_TOLERANCE_FRAMES = 2


class CodesError(ValueError):
    """Codes that no quantizer of the format made.

    Args:
        kind: a fixed phrase, by which clips are counted.
        values: value that is there, and the bound.
    """

    def __init__(self, kind: str, values: str) -> None:
        super().__init__(f"{kind}: {values}")
        self.kind = kind


class CodeFormat(NamedTuple):
    """What all codes of a corpus have in common; None = not known."""

    num_codebooks: int | None = None
    """K."""
    codebook_size: int | None = None
    """V: codes are 0..V - 1."""
    rate_hz: float | None = None
    """Code frames a second."""

    def check(self, codes: np.ndarray, num_frames: int | None, num_samples: int | None) -> None:
        """Check the codes of a clip.

        Args:
            codes: [K, T] integers.
            num_frames: T as the index says; None = not known.
            num_samples: number of samples of the audio at `SAMPLE_RATE`; None = not known.

        Raises:
            CodesError: another K or T, a code that the codebooks do not have, or codes that are
                far from as long as the audio.
        """
        K, T = codes.shape
        if self.num_codebooks is not None and self.num_codebooks != K:
            raise CodesError("codes of another number of codebooks", f"{K}, not {self[0]}")
        if self.codebook_size is not None:
            least, largest = int(codes.min()), int(codes.max())
            if least < 0 or largest >= self.codebook_size:
                value = least if least < 0 else largest
                kind = "codes outside their codebook"
                raise CodesError(kind, f"{value}, not 0..{self.codebook_size - 1}")
        if num_frames is not None and num_frames != T:
            kind = "codes are not as long as the index says"
            raise CodesError(kind, f"{T} frames, not {num_frames}")
        if self.rate_hz is not None and num_samples is not None:
            seconds = num_samples / SAMPLE_RATE
            if far_from_audio(np.array(T), np.array(seconds), self.rate_hz):
                kind = "codes are not as long as their audio"
                wanted = f"{seconds * self.rate_hz:.0f} in {seconds:.2f} s at {self.rate_hz:g} Hz"
                raise CodesError(kind, f"{T} frames, not {wanted}")

    def check_all(self, codes: Mapping[str, np.ndarray]) -> None:
        """Check codes by key of their clip.

        Raises:
            ValueError: names the first clip that has not this format.
        """
        for key, of_clip in codes.items():
            try:
                self.check(of_clip, None, None)
            except CodesError as error:
                raise ValueError(f"clip {key}: {error}") from error

    def differences(self, other: CodeFormat) -> list[str]:
        """Return what both know and say differently."""
        return [
            f"{name} {ours}, not {theirs}"
            for name, ours, theirs in zip(self._fields, self, other, strict=True)
            if ours is not None and theirs is not None and ours != theirs
        ]

    def filled_from(self, other: CodeFormat) -> CodeFormat:
        """Return this format, with what it does not know taken from another."""
        unknown = [name for name, ours in self._asdict().items() if ours is None]
        return self._replace(**{name: getattr(other, name) for name in unknown})


def far_from_audio(num_frames: np.ndarray, seconds: np.ndarray, rate_hz: float) -> np.ndarray:
    """Tell which codes cannot be of their audio, by length: half or twice as long, say.

    Args:
        num_frames: [n] of the codes.
        seconds: [n] of the audio.
        rate_hz: code frames a second.

    Returns:
        [n] bool.
    """
    wanted = seconds * rate_hz
    tolerance = np.maximum(wanted * _LENGTH_TOLERANCE, _LENGTH_TOLERANCE_FRAMES)
    return np.abs(num_frames - wanted) > tolerance
