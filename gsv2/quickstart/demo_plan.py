"""Plan of the demo corpus: who says what, as a pure function of the seed and the length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gsv2.quickstart.demo_voices import HELDOUT_VOICES, TRAIN_VOICES, speaker_name
from gsv2.quickstart.espeak import EspeakVoice
from gsv2.quickstart.grammars import GRAMMARS
from gsv2.quickstart.sentences import Grammar, Sentence, draw_sentences

MEAN_CLIP_SEC = 2.2
"""Measured over all voices; turns minutes into a number of clips."""
HELDOUT_CLIPS_PER_VOICE = 8
"""Each held-out voice speaks one language."""

_LANGUAGES_PER_VOICE = 2  # of a training voice
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

    Every training voice speaks two languages, every held-out voice one.

    Args:
        seed: seed of the choice of sentences.
        minutes: length of the training corpus; at least about nine, so that every voice has
            prompts of its own.

    Raises:
        ValueError: more minutes than the grammars have sentences for.
    """
    cast = _cast()
    num_slots = sum(map(len, cast.values()))
    num_clips = max(_MIN_CLIPS, round(minutes * 60 / MEAN_CLIP_SEC / num_slots))
    plan = DemoPlan(train=[], heldout=[])
    for number, grammar in enumerate(GRAMMARS):
        voices = cast[grammar.language]
        heldout_voice = HELDOUT_VOICES[number % len(HELDOUT_VOICES)]
        train, heldout = draw_sentences(
            grammar,
            num_train=num_clips * len(voices),
            num_heldout=HELDOUT_CLIPS_PER_VOICE,
            seed=seed,
        )
        if num_clips > len({sentence.text for sentence in train}):
            raise ValueError(
                f"minutes must not ask a voice for more than the {len(set(train))} sentences of "
                f"language {grammar.language!r}, but is {minutes:g} ({num_clips} clips a voice)"
            )
        for i, voice in enumerate(voices):
            chosen = train[i * num_clips : (i + 1) * num_clips]
            plan.train.extend(_utterances(grammar, voice, chosen))
        plan.heldout.extend(_utterances(grammar, heldout_voice, heldout))
    return plan


def _cast() -> dict[str, list[EspeakVoice]]:
    """Return the training voices of each language."""
    cast: dict[str, list[EspeakVoice]] = {grammar.language: [] for grammar in GRAMMARS}
    languages = list(cast)
    for number, voice in enumerate(TRAIN_VOICES):
        step = 3 + number // len(languages)  # another pair of languages each time round
        for turn in range(_LANGUAGES_PER_VOICE):
            cast[languages[(number + turn * step) % len(languages)]].append(voice)
    return cast


def _utterances(
    grammar: Grammar, voice: EspeakVoice, sentences: Sequence[Sentence]
) -> list[DemoClip]:
    prefix = f"{grammar.language}_{speaker_name(voice)}"
    return [
        DemoClip(key=f"{prefix}_{i:04d}", text=sentence.text, grammar=grammar, voice=voice)
        for i, sentence in enumerate(sentences)
    ]
