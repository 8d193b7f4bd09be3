"""Synthesizer without a GPT: VITS2 whose prior reads text, from text and references to a wave."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.inference.bundle import BundleError, load_bundle
from gsv2.inference.device import choose_device
from gsv2.inference.encoder_folders import AS_IN_TRAINING, EncoderFolders
from gsv2.inference.enrollment import EnrolledReference
from gsv2.inference.references import Reference, VoiceError
from gsv2.inference.sampling import SamplingConfig
from gsv2.inference.sentences import SentencePlan, plan_sentences
from gsv2.inference.speech import Speech, Timeline, level_speech
from gsv2.inference.spoken_times import time_tokens
from gsv2.inference.voice import Voice, fuse_pitches, voice_pitch
from gsv2.models.vits2.model import VITS2
from gsv2.models.vits2.style import fuse_styles
from gsv2.models.vits2.text_speech import TextSpeechOptions, speak_text
from gsv2.text.encoders.interface import TextTokens
from gsv2.text.encoders.make import attach_vectors
from gsv2.text.normalize import normalize_text

NOISE_SCALE = 0.5
"""Factor on the prior's standard deviation; VITS has 0.667."""


class TextSynthesizer:
    """Speaks any text in the voice of its references, whose transcripts it does not need."""

    aligner = None
    """There are no codes to align."""

    def __init__(
        self, vits2: VITS2, device: torch.device, encoders: EncoderFolders = AS_IN_TRAINING
    ) -> None:
        assert vits2.text_prior is not None, "the config has a text prior"
        self.device = device
        self.vits2 = vits2.to(device).eval()
        self.prior = vits2.text_prior
        attach_vectors(vits2.text_encoder, vits2.config.text_vectors, encoders.text, device)

    @classmethod
    def from_bundle(
        cls,
        path: str | Path,
        device: torch.device | None = None,
        encoders: EncoderFolders = AS_IN_TRAINING,
    ) -> TextSynthesizer:
        """Load a bundle.

        Args:
            device: None = the GPU, if there is one.
            encoders: folders of the weights that `bundle.json` names.

        Raises:
            BundleError: no bundle there, a damaged one, or one with a GPT.
            ValueError: weights of the text encoder are missing, or others.
        """
        components = load_bundle(Path(path))
        if "gpt" in components:
            raise BundleError(f"{path} has a GPT, whose codes are spoken; Synthesizer speaks them")
        chosen = choose_device(device)
        return cls(VITS2.from_component(components["vits2"]), chosen, encoders)

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
            references: one or more recordings of the voice.
            seed: same seed, same speech.
            sampling: its `speaking_rate` and `duration_temperature` count.

        Raises:
            TextError: nothing speakable in `text`.
            VoiceError: a voice file, which holds codes.
        """
        timeline = Timeline()
        sampling = replace(sampling or SamplingConfig(), seed=seed)
        for _ in self._speak_all(plan_sentences(text), references, sampling, timeline):
            pass
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
        """Speak `text` by sentences; joined, `Speech.gain` times what comes is `synthesize`d.

        Args:
            text: as for `synthesize`, as are references, seed, sampling and what is raised.
            each_step: called before each sentence; what it raises ends the speech.
        """
        sampling = replace(sampling or SamplingConfig(), seed=seed)
        plan = plan_sentences(text)
        return self._speak_all(plan, references, sampling, Timeline(), each_step)

    def enroll(
        self, references: Sequence[Reference | EnrolledReference]
    ) -> list[EnrolledReference]:
        """Return references as the model reads them; those of weight 0 are left out.

        Raises:
            VoiceError: a voice file among them, or all weights are 0.
        """
        heard = [reference for reference in references if reference.weight > 0]
        if not heard:
            raise VoiceError("at least one reference must have a weight above 0")
        return [self._enroll(reference) for reference in heard]

    @torch.inference_mode()
    def voice(self, references: Sequence[Reference | EnrolledReference]) -> Voice:
        """Return the voice that recordings have together.

        Raises:
            VoiceError: a voice file among them.
        """
        enrolled = self.enroll(references)
        weights = [reference.weight for reference in enrolled]
        styles = torch.cat([reference.style for reference in enrolled])
        pitches = fuse_pitches([reference.pitch_hz for reference in enrolled], weights)
        return Voice(fuse_styles(styles, weights), pitches)

    @torch.inference_mode()
    def _enroll(self, reference: Reference | EnrolledReference) -> EnrolledReference:
        if isinstance(reference, EnrolledReference):
            if reference.origin is not None:
                raise VoiceError(
                    f"voice {reference.source} holds codes, which a bundle without a GPT does not "
                    "read; name recordings"
                )
            return reference
        mel = self.vits2.mel(torch.from_numpy(reference.wave)[None, None].to(self.device))
        mask = torch.ones(1, mel.shape[-1], dtype=torch.bool, device=self.device)
        return EnrolledReference(
            style=self.vits2.style(mel, mask),
            pitch_hz=voice_pitch(reference.wave, SAMPLE_RATE),
            prompt=None,
            weight=reference.weight,
        )

    @torch.inference_mode()
    def resynthesise(self, wave: np.ndarray, voice: Voice) -> np.ndarray:
        """Send a recording [N] at 32 kHz through the posterior; returns [N] at most, in a voice."""
        magnitude = self.vits2.mel.spectrogram(torch.from_numpy(wave)[None, None].to(self.device))
        lengths = torch.tensor([magnitude.shape[-1]], device=self.device)
        spoken = self.vits2.reconstruct(magnitude, lengths, voice.style)
        return spoken[0, 0, : len(wave)].float().cpu().numpy()

    def _speak_all(
        self,
        plan: SentencePlan,
        references: Sequence[Reference | EnrolledReference],
        sampling: SamplingConfig,
        timeline: Timeline,
        each_step: Callable[[], None] | None = None,
    ) -> Iterator[Speech]:
        """Yield the speech of each sentence, as it stands in the whole."""
        options = TextSpeechOptions(
            noise_scale=NOISE_SCALE,
            duration_noise_scale=sampling.duration_temperature,
            rate=sampling.speaking_rate,
        )
        voice = self.voice(references)
        for sentence in plan.sentences:
            if each_step is not None:
                each_step()
            at_rate = replace(options, rate=options.rate * sentence.rate)
            speech = self._speak(normalize_text(sentence.text), voice, at_rate, sampling.seed)
            yield timeline.add(speech, sentence.pause_sec, plan.end_after(sentence))

    @torch.inference_mode()
    def _speak(self, sentence: str, voice: Voice, options: TextSpeechOptions, seed: int) -> Speech:
        """Speak a normalised sentence."""
        ids, lengths = self.prior.text_encoder.tokenize([sentence])
        text = TextTokens(ids.to(self.device), lengths.to(self.device))
        median_hz = torch.tensor([voice.pitch_hz], device=self.device)
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            spoken = speak_text(self.vits2, text, voice.style, options, median_hz)
        times = time_tokens(
            sentence,
            self.prior.text_encoder.character_spans(sentence),
            spoken.durations[0].tolist(),
            self.vits2.config.frame_rate_hz,
        )
        return Speech(spoken.wave[0, 0].float().cpu().numpy(), SAMPLE_RATE, True, times)
