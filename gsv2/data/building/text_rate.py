"""Text rate, letters a second: whether a transcript can be what is said in its audio.

A segment cut wrongly, or a wrong file beside the audio, shows as far too many or too few letters.
Bounds that no speech leaves hold for every clip; where a language has enough clips, bounds around
their median are learnt too (median absolute deviation, robust against the faulty ones).
"""

from __future__ import annotations

import unicodedata
from array import array
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

_MAD_TO_SIGMA = 1.4826  # of a normal distribution
_SHORT_SCRIPTS = ("CJK UNIFIED", "CJK COMPAT", "HIRAGANA", "KATAKANA", "HANGUL")
_LETTERS_OF_A_SYLLABLE = 3.0


@dataclass(frozen=True, kw_only=True)
class TextRateConfig:
    """Which clips have an implausible transcript."""

    min_letters_per_sec: float = 0.5
    """Fewer cannot be all that is said. A Han, kana or Hangul character counts as 3 letters."""
    max_letters_per_sec: float = 50.0
    """More cannot be said; fast speech has 25."""
    min_clips: int = 100
    """Clips of a language from which its bounds are learnt."""
    num_sigmas: float = 6.0
    """Distance from the median, of the logarithm, that is left out..."""
    min_ratio: float = 3.0
    """...if it is also this many times above or below the median."""


class Outlier(NamedTuple):
    """A clip whose rate is far from that of its language."""

    clip: int
    """Number in its language, in order of arrival."""
    reason: str
    value: str
    measured: float
    """Letters a second."""
    threshold: float
    """Most or least that are plausible."""


def count_letters(text: str) -> float:
    """Return letters, digits and vowel signs; a character that stands for a syllable counts 3."""
    return sum(map(_letters_of, text), 0.0)


@lru_cache(maxsize=1 << 14)
def _letters_of(char: str) -> float:
    if unicodedata.category(char)[0] not in "LNM":
        return 0.0
    is_syllable = char >= "\u1100" and unicodedata.name(char, "").startswith(_SHORT_SCRIPTS)
    return _LETTERS_OF_A_SYLLABLE if is_syllable else 1.0


class TextRates:
    """Letters a second of the clips of a corpus, by language; 8 bytes a clip."""

    def __init__(self, config: TextRateConfig) -> None:
        self._config = config
        self._rates: dict[str, array[float]] = {}

    def fault(self, rate: float) -> tuple[str, str] | None:
        """Return the reason and the value if no speech has this rate."""
        low, high = self._config.min_letters_per_sec, self._config.max_letters_per_sec
        if low <= rate <= high:
            return None
        allowed = f"{rate:.2f} letters per second; {low:g} to {high:g} are possible"
        return _reason(is_long=rate > high), allowed

    def limit(self, rate: float) -> float:
        """Return the bound of all speech that a rate is next to."""
        low, high = self._config.min_letters_per_sec, self._config.max_letters_per_sec
        return high if rate > low else low

    def add(self, language: str, rate: float) -> None:
        """Note the rate of the next clip of a language."""
        self._rates.setdefault(language, array("d")).append(rate)

    def outliers(self, language: str) -> list[Outlier]:
        """Return the clips that are far from the others of their language."""
        rates = np.asarray(self._rates.get(language, ()), dtype=np.float64)  # [N]
        if len(rates) < self._config.min_clips:
            return []
        logs = np.log(rates)
        median = float(np.median(logs))
        sigma = _MAD_TO_SIGMA * float(np.median(np.abs(logs - median)))
        width = max(self._config.num_sigmas * sigma, np.log(self._config.min_ratio))
        usual = f"{language} has {np.exp(median):.2f} (median of {len(rates)} clips)"
        return [
            Outlier(
                int(clip),
                _reason(is_long=logs[clip] > median),
                f"{rates[clip]:.2f} letters per second; {usual}",
                float(rates[clip]),
                float(np.exp(median + (width if logs[clip] > median else -width))),
            )
            for clip in np.flatnonzero(np.abs(logs - median) > width)
        ]


def _reason(*, is_long: bool) -> str:
    return f"text too {'long' if is_long else 'short'} for its audio"
