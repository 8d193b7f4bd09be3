"""Sentences of a text: what is spoken at once, with the silence before it and its rate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from gsv2.inference.enrollment import EnrolledReference
from gsv2.inference.sampling import PromptFusionName
from gsv2.inference.utterance import Utterance
from gsv2.text.markup import parse_script
from gsv2.text.normalize import ends_sentence, normalize_text, split_sentences

MAX_SENTENCE_BYTES = 300
"""Longer sentences are split, so that an utterance stays as long as those of the training."""
PAUSE_SEC = 0.2
"""Silence between sentences."""
CLAUSE_PAUSE_SEC = 0.1
"""Silence where a sentence had to be split."""


class PlannedSentence(NamedTuple):
    """A sentence that is to be spoken."""

    text: str
    pause_sec: float
    """Silence before it."""
    rate: float
    """Factor on the speaking rate."""
    number: int
    """Place among the sentences of its text, from 0."""


class SentencePlan(NamedTuple):
    """The sentences of a text."""

    sentences: tuple[PlannedSentence, ...]
    end_sec: float
    """Silence after the last one."""

    def runs(self) -> Iterator[Sequence[PlannedSentence]]:
        """Yield sentences that can be spoken at once: those of one rate."""
        for _, run in groupby(self.sentences, lambda sentence: sentence.rate):
            yield list(run)

    def end_after(self, sentence: PlannedSentence) -> float:
        """Return the silence after a sentence that is not said to belong to the next one."""
        return self.end_sec if sentence.number == len(self.sentences) - 1 else 0.0


def plan_sentences(text: str) -> SentencePlan:
    """Return what a text asks to be spoken, its markup followed (`gsv2.text.markup`).

    Raises:
        MarkupError: markup that cannot be followed.
        TextError: nothing speakable in it.
    """
    planned: list[PlannedSentence] = []
    end_sec, is_end = 0.0, True
    for part in parse_script(text):
        if not part.text:
            end_sec = part.pause_sec or 0.0
            continue
        asked = part.pause_sec
        for sentence in split_sentences(normalize_text(part.text), MAX_SENTENCE_BYTES):
            natural = PAUSE_SEC if is_end else CLAUSE_PAUSE_SEC
            pause = asked if asked is not None else natural if planned else 0.0
            planned.append(PlannedSentence(sentence, pause, part.rate, len(planned)))
            asked, is_end = None, ends_sentence(sentence)
    return SentencePlan(tuple(planned), end_sec)


def to_utterances(
    sentences: Sequence[PlannedSentence],
    references: Sequence[EnrolledReference],
    fusion: PromptFusionName,
) -> list[Utterance]:
    """Return what the GPT is to say, after which prompts.

    Args:
        sentences: what is to be spoken.
        references: references of the voice; those with a prompt are heard.
        fusion: see `SamplingConfig.prompt_fusion`.
    """
    spoken = [(r.prompt, r.weight) for r in references if r.prompt is not None]
    prompts = tuple(prompt for prompt, _ in spoken)
    several = len({r.speaker for r in references if r.prompt is not None}) > 1
    averaged = fusion == "average" or (fusion == "auto" and several)
    weights = tuple(weight for _, weight in spoken) if averaged else ()
    return [
        Utterance(text=sentence.text, prompts=prompts, prompt_weights=weights)
        for sentence in sentences
    ]
