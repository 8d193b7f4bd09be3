"""Plan of the demo corpus: who says what, as a pure function of the seed and the length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gsv2.quickstart.demo_voices import HELDOUT_VOICES, TRAIN_VOICES, speaker_name
from gsv2.quickstart.espeak import EspeakVoice
from gsv2.quickstart.grammars import GRAMMARS
from gsv2.quickstart.sentences import FilledTemplate, Grammar, draw_sentences

MEAN_CLIP_SEC = 2.2
"""Measured over all voices; turns minutes into a number of clips."""
HELDOUT_CLIPS_PER_VOICE = 6
"""Clips of a held-out voice in one language."""

_HELDOUT_VOICES_PER_LANGUAGE = 2
_MIN_CLIPS = 4  # of a training voice in one language, so that every clip has prompts


@dataclass(frozen=True, kw_only=True)
class DemoClip:
    """One clip to be spoken."""

    key: str
    text: str
    grammar: Grammar
    voice: EspeakVoice

    @property
    def speaker(self) -> str:
        """Label of the voice."""
        return speaker_name(self.voice)


@dataclass(frozen=True, kw_only=True)
class DemoPlan:
    """The two corpora; they share languages and words, but no voice and no sentence."""

    train: list[DemoClip]
    heldout: list[DemoClip]


def plan_demo(seed: int, minutes: float) -> DemoPlan:
    """Plan about `minutes` of training speech and its held-out set.

    Every training voice speaks every language: a voice heard in one language alone is not
    understood in another. A language is held out in two voices.

    Args:
        seed: seed of the choice of sentences.
        minutes: length of the training corpus; at least about fourteen, so that every voice has
            prompts of its own.

    Raises:
        ValueError: more minutes than the grammars have sentences for.
    """
    num_slots = len(GRAMMARS) * len(TRAIN_VOICES)
    num_clips = max(_MIN_CLIPS, round(minutes * 60 / MEAN_CLIP_SEC / num_slots))
    plan = DemoPlan(train=[], heldout=[])
    for number, grammar in enumerate(GRAMMARS):
        train, heldout = draw_sentences(
            grammar,
            num_train=num_clips * len(TRAIN_VOICES),
            num_heldout=HELDOUT_CLIPS_PER_VOICE * _HELDOUT_VOICES_PER_LANGUAGE,
            seed=seed,
        )
        num_different = len({sentence.text for sentence in train})
        if num_clips > num_different:
            raise ValueError(
                f"minutes must not ask a voice for more than the {num_different} sentences of "
                f"language {grammar.language!r}, but is {minutes:g} ({num_clips} clips a voice)"
            )
        pair = [
            HELDOUT_VOICES[(number + i) % len(HELDOUT_VOICES)]
            for i in range(_HELDOUT_VOICES_PER_LANGUAGE)
        ]
        plan.train.extend(_share_out(grammar, TRAIN_VOICES, train))
        plan.heldout.extend(_share_out(grammar, pair, heldout))
    return plan


def _share_out(
    grammar: Grammar, voices: Sequence[EspeakVoice], sentences: Sequence[FilledTemplate]
) -> list[DemoClip]:
    """Give each voice an equal share of the sentences."""
    share = len(sentences) // len(voices)
    return [
        DemoClip(
            key=f"{grammar.language}_{speaker_name(voice)}_{i:04d}",
            text=sentence.text,
            grammar=grammar,
            voice=voice,
        )
        for number, voice in enumerate(voices)
        for i, sentence in enumerate(sentences[number * share : (number + 1) * share])
    ]
