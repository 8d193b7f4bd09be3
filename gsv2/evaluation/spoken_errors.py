"""Errors of what a recogniser wrote down: words (WER) and characters (CER)."""

from __future__ import annotations

import unicodedata
from typing import NamedTuple

from torchaudio.functional import edit_distance

from gsv2.evaluation.estimates import Measurement

UNSPACED = frozenset({"bo", "dz", "ja", "km", "lo", "my", "th", "yue", "zh"})
"""Languages that write no spaces between words; each character counts as a word."""
_SPOKEN = "LMN"
"""First letters of the Unicode categories that are said: letters, marks, numbers."""


class SpokenErrors(NamedTuple):
    """Errors of one sentence, of each kind over the number that was to be said."""

    words: Measurement
    characters: Measurement


def count_spoken_errors(text: str, heard: str, language: str) -> SpokenErrors:
    """Compare what was to be said with what was heard, without case and punctuation.

    Args:
        text: what was to be said; a letter or digit is in it.
        heard: what a recogniser wrote.
        language: BCP 47 tag.
    """
    wanted, found = spoken_form(text, language), spoken_form(heard, language)
    words = (_words(wanted, language), _words(found, language))
    return SpokenErrors(
        Measurement(edit_distance(*words), len(words[0])),
        Measurement(edit_distance(wanted, found), len(wanted)),
    )


def spoken_form(text: str, language: str) -> str:
    """Return what of a text is said: lower case, words with one space between, no punctuation."""
    lower = unicodedata.normalize("NFC", text.lower())
    kept = "".join(c if unicodedata.category(c)[0] in _SPOKEN else " " for c in lower)
    return ("" if _is_unspaced(language) else " ").join(kept.split())


def _words(spoken: str, language: str) -> list[str]:
    return list(spoken) if _is_unspaced(language) else spoken.split()


def _is_unspaced(language: str) -> bool:
    return language.split("-")[0] in UNSPACED
