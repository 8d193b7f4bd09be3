"""Synthesizer: from text and references to a waveform.

The GPT continues the references' (text, codes) with the codes of each sentence; VITS2 speaks the
codes in the fused style of the references.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gsv2.audio.speech_encoders.make import make_speech_encoder
from gsv2.inference.bundle import check_has_gpt, load_bundle
from gsv2.inference.bundle_description import read_bundle_description
from gsv2.inference.candidates import generate_best
from gsv2.inference.code_decoder import NOISE_SCALE, CodeDecoder
from gsv2.inference.device import choose_device
from gsv2.inference.encoder_folders import AS_IN_TRAINING, EncoderFolders
from gsv2.inference.enrollment import BundleHashes, EnrolledReference, Enroller
from gsv2.inference.hub_bundle import find_bundle
from gsv2.inference.references import Reference
from gsv2.inference.sampling import SamplingConfig
from gsv2.inference.sentences import MAX_SENTENCE_BYTES as MAX_SENTENCE_BYTES
from gsv2.inference.sentences import (
    PlannedSentence,
    SentencePlan,
    plan_sentences,
    to_utterances,
)
from gsv2.inference.speech import Speech as Speech
from gsv2.inference.speech import SpeechWarning, Timeline
from gsv2.inference.voice import Voice
from gsv2.models.aligner.model import Aligner
from gsv2.models.component import Component
from gsv2.models.gpt.model import SemanticGPT
from gsv2.models.quantizer.model import Quantizer
from gsv2.models.vits2.model import VITS2
from gsv2.text.encoders.make import attach_text_encoder

logger = logging.getLogger(__name__)


class Synthesizer:
    """Speaks any text in the voice of its references."""

    def __init__(
        self,
        quantizer: Quantizer,
        gpt: SemanticGPT,
        vits2: VITS2,
        device: torch.device,
        aligner: Aligner | None = None,
        encoders: EncoderFolders = AS_IN_TRAINING,
    ) -> None:
        self.device = device
        self.quantizer = quantizer.to(device).eval()
        frozen = make_speech_encoder(quantizer.config.speech_encoder, encoders.speech)
        self.speech_encoder = frozen.to(device)
        self.gpt = gpt.to(device).eval()
        reader = (gpt.config.text_vectors, gpt.config.tokenizer)
        attach_text_encoder(gpt.text_encoder, *reader, encoders.text, device)
        self.vits2 = vits2.to(device).eval()
        self.aligner = None if aligner is None else aligner.to(device).eval()
        self.enroller = Enroller(
            self.speech_encoder,
            self.quantizer,
            self.vits2,
            self.aligner,
            needs_alignment=self.gpt.has_pointer,
            device=device,
        )
        rate_hz = gpt.config.codes.rate_hz
        align = None if aligner is None else self.enroller.align
        self.decoder = CodeDecoder(self.vits2, align, rate_hz, device)

    @classmethod
    def from_bundle(
        cls,
        path: str | Path,
        device: torch.device | None = None,
        encoders: EncoderFolders = AS_IN_TRAINING,
    ) -> Synthesizer:
        """Load a bundle; warn of one that does not read.

        Args:
            device: None = the GPU, if there is one.
            encoders: folders of the weights that `bundle.json` names.

        Raises:
            BundleError: no bundle there, or a damaged one.
            ValueError: weights of an encoder are missing, or others.
        """
        chosen = choose_device(device)
        components = load_bundle(Path(path))
        check_has_gpt(path, components)
        description = read_bundle_description(Path(path))
        reading = description.reading
        if reading is not None and not reading.reads:
            logger.warning("the model in %s %s", path, reading)
        synthesizer = cls.from_components(components, chosen, encoders)
        synthesizer.enroller.hashes = BundleHashes(
            str(description.quantizer), description.files["vits2.safetensors"]
        )
        return synthesizer

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        revision: str | None = None,
        device: torch.device | None = None,
        encoders: EncoderFolders = AS_IN_TRAINING,
    ) -> Synthesizer:
        """Load a bundle by its folder, or by its repository on the Hugging Face Hub.

        Args:
            name: folder, `OWNER/NAME` or `hf://OWNER/NAME`.
            revision: commit, branch or tag of the repository; None = the newest.
            device: as for `from_bundle`, as are encoders and what is raised.
        """
        return cls.from_bundle(find_bundle(name, revision), device, encoders)

    @classmethod
    def from_components(
        cls,
        components: Mapping[str, Component],
        device: torch.device,
        encoders: EncoderFolders = AS_IN_TRAINING,
    ) -> Synthesizer:
        """Build the parts of `components` (`quantizer`, `gpt`, `vits2`, perhaps `aligner`)."""
        aligner = components.get("aligner")
        return cls(
            Quantizer.from_component(components["quantizer"]),
            SemanticGPT.from_component(components["gpt"]),
            VITS2.from_component(components["vits2"]),
            device,
            None if aligner is None else Aligner.from_component(aligner),
            encoders,
        )

    def synthesize(
        self,
        text: str,
        references: Sequence[Reference | EnrolledReference],
        *,
        seed: int = 0,
        sampling: SamplingConfig | None = None,
    ) -> Speech:
        """Speak `text`.

        Args:
            text: any language and script; long texts are split at sentences.
            references: one or more recordings; those with a transcript prompt the GPT.
            seed: same seed, same speech.
            sampling: how codes are drawn; its seed is replaced by `seed`.

        Raises:
            TextError: nothing speakable in `text`.
            VoiceError: a reference whose transcript cannot be aligned with it, which a GPT that
                reads by a pointer asks for.
        """
        timeline = Timeline()
        sampling = replace(sampling or SamplingConfig(), seed=seed)
        for _ in self._speak(plan_sentences(text), references, sampling, timeline, None):
            pass
        return timeline.whole()

    def stream(
        self,
        text: str,
        references: Sequence[Reference | EnrolledReference],
        *,
        seed: int = 0,
        sampling: SamplingConfig | None = None,
        each_step: Callable[[], None] | None = None,
    ) -> Iterator[Speech]:
        """Speak `text` sentence by sentence: what comes, joined, is what `synthesize` returns.

        Args:
            text: as for `synthesize`, as are references, seed and sampling.
            each_step: called before each step of the GPT; what it raises ends the speech.

        Yields:
            Speech of each sentence, with the pause before it and times from the text's beginning.

        Raises:
            TextError: nothing speakable in `text`.
            VoiceError: as `synthesize`.
        """
        sampling = replace(sampling or SamplingConfig(), seed=seed)
        return self._speak(
            plan_sentences(text), references, sampling, Timeline(), each_step or (lambda: None)
        )

    def encode(self, wave: np.ndarray) -> Tensor:
        """Return the codes [K, T] of a recording [N] at 32 kHz."""
        return self.enroller.encode(wave)

    def enroll(
        self, references: Sequence[Reference | EnrolledReference]
    ) -> list[EnrolledReference]:
        """Return references as the models read them, see `Enroller.enroll`."""
        return self.enroller.enroll(references)

    def voice(self, references: Sequence[Reference | EnrolledReference]) -> Voice:
        """Return the voice that references have together."""
        return self.enroller.voice(references)

    def decode(
        self, codes: Tensor, voice: Voice, *, noise_scale: float = NOISE_SCALE, seed: int = 0
    ) -> np.ndarray:
        """Speak codes [K, T] in a voice; returns [N] float32 at 32 kHz."""
        return self.decoder.decode(codes, voice, noise_scale=noise_scale, seed=seed)

    def resynthesise(self, wave: np.ndarray, voice: Voice) -> np.ndarray:
        """Send a recording [N] at 32 kHz through its codes; returns [N] in a voice."""
        return self.decode(self.encode(wave), voice, noise_scale=0.0)[: len(wave)]

    def _speak(
        self,
        plan: SentencePlan,
        references: Sequence[Reference | EnrolledReference],
        sampling: SamplingConfig,
        timeline: Timeline,
        each_step: Callable[[], None] | None,
    ) -> Iterator[Speech]:
        """Yield the speech of each sentence, as it stands in the whole.

        All sentences of a rate are generated at once where nobody asks for each step.
        """
        enrolled = self.enroll(references)
        voice, last = self.voice(enrolled), plan.sentences[-1]
        for run in plan.runs(at_once=each_step is None):
            rate = sampling.speaking_rate * run[0].rate
            generated = generate_best(
                self.gpt,
                self.aligner,
                to_utterances(run, enrolled, sampling.prompt_fusion),
                replace(sampling, speaking_rate=rate),
                first=run[0].number,
                each_step=each_step,
            )
            texts = [sentence.text for sentence in run]
            spoken = self.decoder.speak(generated, texts, voice, sampling.seed)
            for sentence, speech in zip(run, spoken, strict=True):
                speech = speech._replace(warnings=tuple(self._warnings(sentence, speech, rate)))
                end_sec = plan.end_sec if sentence is last else 0.0
                yield timeline.add(speech, sentence.pause_sec, end_sec)

    def _warnings(
        self, sentence: PlannedSentence, speech: Speech, rate: float
    ) -> Iterator[SpeechWarning]:
        """Yield what was decided for a sentence, other than by the model or by who asked."""
        place = (sentence.number, sentence.text)
        if not speech.ended:
            yield SpeechWarning("cut", *place)
        if len(speech.wave) == 0:
            yield SpeechWarning("empty", *place)
        elif speech.times is None and self.aligner is not None:
            yield SpeechWarning("untimed", *place)
        if rate != 1 and not self.gpt.has_pointer:
            yield SpeechWarning("rate", *place)
