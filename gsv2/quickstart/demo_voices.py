"""Voices of the demo corpus: variants of espeak-ng with a pitch and a pace each.

Variants with a robot effect, a whisper or formants beyond those of people are left out: a stranger
does not understand them either. No held-out variant occurs in training, and none sounds to a
speaker encoder as another does: Resemblyzer's cosine between two of them is .85 at most (pablo, who
was one, is m4 with an echo: .88).
"""

from __future__ import annotations

from dataclasses import replace

from gsv2.quickstart.espeak import EspeakVoice

_TRAIN_VARIANTS = (
    *("Alex", "f1", "Denis", "f2", "Mario", "f3", "Gene", "f4"),
    *("m1", "belinda", "m7", "aunty", "m8", "steph", "max", "grandma"),
)
_HELDOUT_VARIANTS = ("m4", "f5", "m3", "linda", "Andy", "Michael")
_PITCHES = {"Andy": 65}
"""Pitch of voices that would be like another at the pitch of their number."""


def _voice(variant: str, number: int) -> EspeakVoice:
    """Spread pitch and pace over the numbers, in steps that share no period."""
    return EspeakVoice(
        variant=variant,
        rate=140 + 11 * number % 31,
        pitch=38 + 7 * number % 27,
        pitch_range=40 + 13 * number % 31,
    )


TRAIN_VOICES = tuple(_voice(variant, i) for i, variant in enumerate(_TRAIN_VARIANTS))
HELDOUT_VOICES = tuple(
    replace(_voice(variant, i), pitch=_PITCHES.get(variant, _voice(variant, i).pitch))
    for i, variant in enumerate(_HELDOUT_VARIANTS)
)


def speaker_name(voice: EspeakVoice) -> str:
    """Return the label of a voice, e.g. `f2-p45-r160`."""
    return f"{voice.variant}-p{voice.pitch}-r{voice.rate}"
