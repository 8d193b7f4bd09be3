"""Speaker of sentences in one voice: whole ones together, or one piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.inference.candidates import generate_best
from gsv2.inference.code_decoder import CodeDecoder
from gsv2.inference.enrollment import EnrolledReference
from gsv2.inference.generate import GeneratedCodes, generate_frames
from gsv2.inference.sampling import SamplingConfig
from gsv2.inference.sentences import PlannedSentence, to_utterances
from gsv2.inference.speech import Speech, SpeechWarning
from gsv2.inference.utterance import Utterance
from gsv2.inference.voice import Voice
from gsv2.models.aligner.model import Aligner
from gsv2.models.gpt.model import SemanticGPT


class SentenceSpeaker:
    """Speaks the sentences of one text.

    Args:
        gpt: GPT that makes codes.
        aligner: judge of candidates; None = there is one.
        decoder: speaks the codes.
        references: enrolled references of the voice.
        voice: voice that they have together.
        sampling: how codes are drawn.
    """

    def __init__(
        self,
        gpt: SemanticGPT,
        aligner: Aligner | None,
        decoder: CodeDecoder,
        references: Sequence[EnrolledReference],
        voice: Voice,
        sampling: SamplingConfig,
    ) -> None:
        self._gpt = gpt
        self._aligner = aligner
        self._decoder = decoder
        self._references = references
        self._voice = voice
        self._sampling = sampling

    def speak(self, sentences: Sequence[PlannedSentence]) -> Iterator[Speech]:
        """Yield the speech of sentences of one rate, which are generated at once."""
        generated = self._generate(sentences, None)
        texts = [sentence.text for sentence in sentences]
        spoken = self._decoder.speak(generated, texts, self._voice, self._sampling.seed)
        for item, (sentence, speech) in enumerate(zip(sentences, spoken, strict=True)):
            retried, silent = _is_retried(generated, item), len(speech.wave) == 0
            yield self._warned(sentence, speech, is_retried=retried, is_silent=silent)

    @torch.inference_mode()
    def stream(
        self, sentence: PlannedSentence, each_step: Callable[[], None] | None = None
    ) -> Iterator[Speech]:
        """Yield the speech of a sentence piece by piece; joined, it is what `speak` yields.

        With one candidate a piece comes as soon as its codes are drawn; of several, the best must
        be known first. All but the last piece have a wave alone.

        Args:
            sentence: what is spoken.
            each_step: called before each step of the GPT; what it raises ends the speech.
        """
        wave = self._decoder.start(self._voice, self._sampling.seed, sentence.text)
        is_silent = True
        frames = self._frames(sentence, each_step)
        while True:
            try:
                samples = wave.push(next(frames)[:, None], is_last=False)
            except StopIteration as end:
                generated: GeneratedCodes = end.value
                break
            if len(samples):
                is_silent = False
                yield Speech(samples.cpu().numpy(), SAMPLE_RATE, True, is_end=False)
        last = self._decoder.describe(generated, 0, sentence.text)
        if last.codes[0].shape[1]:
            is_silent = False
            samples = wave.push(last.codes[0][:, :0], is_last=True)
            last = last._replace(wave=samples.cpu().numpy())
        retried = _is_retried(generated, 0)
        yield self._warned(sentence, last, is_retried=retried, is_silent=is_silent)

    def _frames(
        self, sentence: PlannedSentence, each_step: Callable[[], None] | None
    ) -> Generator[Tensor, None, GeneratedCodes]:
        """Yield the codes [K] of frames; return all of them."""
        if self._aligner is None or self._sampling.candidates == 1:
            utterance = self._utterances([sentence])[0]
            sampling = self._at_rate(sentence)
            made = yield from generate_frames(
                self._gpt, utterance, sampling, sentence.number, each_step
            )
            return made
        made = self._generate([sentence], each_step)
        yield from made.codes[0, :, : int(made.lengths[0])].T
        return made

    def _generate(
        self, sentences: Sequence[PlannedSentence], each_step: Callable[[], None] | None
    ) -> GeneratedCodes:
        return generate_best(
            self._gpt,
            self._aligner,
            self._utterances(sentences),
            self._at_rate(sentences[0]),
            first=sentences[0].number,
            each_step=each_step,
        )

    def _utterances(self, sentences: Sequence[PlannedSentence]) -> list[Utterance]:
        return to_utterances(sentences, self._references, self._sampling.prompt_fusion)

    def _at_rate(self, sentence: PlannedSentence) -> SamplingConfig:
        rate = self._sampling.speaking_rate * sentence.rate
        return replace(self._sampling, speaking_rate=rate)

    def _warned(
        self, sentence: PlannedSentence, speech: Speech, *, is_retried: bool, is_silent: bool
    ) -> Speech:
        """Return speech with what was decided, other than by the model or by who asked."""
        place = (sentence.number, sentence.text)
        warnings = []
        if is_retried:
            warnings.append(SpeechWarning("retried", *place))
        if not speech.ended:
            warnings.append(SpeechWarning("cut", *place))
        if is_silent:
            warnings.append(SpeechWarning("empty", *place))
        elif speech.times is None and self._aligner is not None:
            warnings.append(SpeechWarning("untimed", *place))
        if self._at_rate(sentence).speaking_rate != 1 and not self._gpt.has_pointer:
            warnings.append(SpeechWarning("rate", *place))
        return speech._replace(warnings=tuple(warnings))


def _is_retried(generated: GeneratedCodes, item: int) -> bool:
    """Tell whether an utterance was drawn again."""
    return generated.num_retries is not None and int(generated.num_retries[item]) > 0
