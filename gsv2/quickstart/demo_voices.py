"""Voices of the demo corpus: variants of espeak-ng with a pitch and a pace each.

Variants that differ only by a robot effect, whisper or clip are left out. No held-out variant
occurs in training.
"""

from __future__ import annotations

from gsv2.quickstart.espeak import EspeakVoice

_TRAIN_VARIANTS = (
    *("Alex", "Alicia", "Annie", "Denis", "Gene", "Lee", "Mario", "Nguyen", "Storm", "adam"),
    *("aunty", "belinda", "boris", "david", "f1", "f2", "f3", "grandma", "klatt3", "m1"),
    *("m2", "m4", "m7", "m8", "marcelo", "max", "norbert", "quincy", "shelby", "steph"),
)
_HELDOUT_VARIANTS = (
    *("Andrea", "m3", "linda", "Michael", "f4", "robert", "f5", "victor", "travis", "pablo"),
)


def _voice(variant: str, number: int) -> EspeakVoice:
    """Spread pitch and pace over the numbers, in steps that share no period."""
    return EspeakVoice(
        variant=variant,
        rate=140 + 11 * number % 31,
        pitch=38 + 7 * number % 27,
        pitch_range=40 + 13 * number % 31,
    )


TRAIN_VOICES = tuple(_voice(variant, i) for i, variant in enumerate(_TRAIN_VARIANTS))
HELDOUT_VOICES = tuple(_voice(variant, i) for i, variant in enumerate(_HELDOUT_VARIANTS))


def speaker_name(voice: EspeakVoice) -> str:
    """Return the label of a voice, e.g. `f2-p45-r160`."""
    return f"{voice.variant}-p{voice.pitch}-r{voice.rate}"
