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
from gsv2.inference.code_decoder import NOISE_SCALE, CodeDecoder
from gsv2.inference.device import choose_device
from gsv2.inference.encoder_folders import AS_IN_TRAINING, EncoderFolders
from gsv2.inference.enrollment import BundleHashes, EnrolledReference, Enroller
from gsv2.inference.hub_bundle import find_bundle
from gsv2.inference.onnx_engine import BundleGraphs
from gsv2.inference.references import Reference
from gsv2.inference.sampling import SamplingConfig
from gsv2.inference.sentence_speaker import SentenceSpeaker
from gsv2.inference.sentences import SentencePlan, plan_sentences
from gsv2.inference.speech import Speech as Speech
from gsv2.inference.speech import Timeline, level_speech
from gsv2.inference.voice import Voice
from gsv2.models.aligner.model import Aligner
from gsv2.models.component import Component
from gsv2.models.gpt.model import SemanticGPT
from gsv2.models.quantizer.model import Quantizer
from gsv2.models.vits2.generator_stream import RunFrames
from gsv2.models.vits2.model import VITS2
from gsv2.text.encoders.make import attach_text_encoder, attach_vectors

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
        attach_vectors(vits2.text_encoder, vits2.config.text_vectors, encoders.text, device)
        self.aligner = None if aligner is None else aligner.to(device).eval()
        self.enroller = Enroller(
            self.speech_encoder,
            self.quantizer,
            self.vits2,
            self.aligner,
            needs_alignment=self.gpt.has_pointer,
            device=device,
        )
        self.decoder = self._make_decoder()

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
        if description.reading is not None and not description.reading.reads:
            logger.warning("the model in %s %s", path, description.reading)
        found = encoders.or_of_bundle(Path(path), description.files)
        synthesizer = cls.from_components(components, chosen, found)
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
        """Speak `text`, at the loudness of corpora.

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
        plan, timeline = plan_sentences(text), Timeline()
        sampling = replace(sampling or SamplingConfig(), seed=seed)
        speaker = self._speaker(references, sampling)
        for run in plan.runs():
            for sentence, speech in zip(run, speaker.speak(run), strict=True):
                timeline.add(speech, sentence.pause_sec, plan.end_after(sentence))
        return level_speech(timeline.whole())

    def stream(
        self,
        text: str,
        references: Sequence[Reference | EnrolledReference],
        *,
        seed: int = 0,
        sampling: SamplingConfig | None = None,
        each_step: Callable[[], None] | None = None,
    ) -> Iterator[Speech]:
        """Speak `text` piece by piece: what comes, joined, is what `synthesize` returns.

        Two things need the whole: its loudness, so that pieces are the model's own wave and what
        `synthesize` returns is `Speech.gain` times as loud; and a retry of what has no end.

        With one candidate (`SamplingConfig.candidates`, or a bundle without an aligner) pieces come
        while their sentence is still generated; of several, the best must be known first. The last
        piece of a sentence brings its times, from the text's beginning, codes and warnings.

        Args:
            text: as for `synthesize`, as are references, seed and sampling.
            each_step: called before each step of the GPT; what it raises ends the speech.

        Raises:
            TextError: nothing speakable in `text`.
            VoiceError: as `synthesize`.
        """
        plan = plan_sentences(text)
        sampling = replace(sampling or SamplingConfig(), seed=seed)
        return self._stream(plan, self._speaker(references, sampling), each_step)

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

    def use_graphs(self, graphs: BundleGraphs) -> None:
        """Compute by the graphs of the bundle from now on, on the CPU."""
        self.gpt.backbone = graphs.backbone(self.gpt.backbone)
        self.decoder = self._make_decoder(graphs.run_generator)

    def _make_decoder(self, run_generator: RunFrames | None = None) -> CodeDecoder:
        align = None if self.aligner is None else self.enroller.align
        rate_hz = self.gpt.config.codes.rate_hz
        return CodeDecoder(self.vits2, align, rate_hz, self.device, run_generator)

    def _speaker(
        self, references: Sequence[Reference | EnrolledReference], sampling: SamplingConfig
    ) -> SentenceSpeaker:
        enrolled = self.enroll(references)
        voice = self.voice(enrolled)
        return SentenceSpeaker(self.gpt, self.aligner, self.decoder, enrolled, voice, sampling)

    def _stream(
        self, plan: SentencePlan, speaker: SentenceSpeaker, each_step: Callable[[], None] | None
    ) -> Iterator[Speech]:
        timeline = Timeline()
        for sentence in plan.sentences:
            for piece in speaker.stream(sentence, each_step):
                yield timeline.add(piece, sentence.pause_sec, plan.end_after(sentence))
