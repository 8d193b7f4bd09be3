"""Synthesizer: from text and references to a waveform.

The GPT continues the references' (text, codes) with the codes of each sentence; VITS2 speaks the
codes in the fused style of the references.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gsv2.audio.speech_encoders.make import make_speech_encoder
from gsv2.audio.wave import join_waves
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.inference.bundle import BundleError, load_bundle
from gsv2.inference.bundle_description import read_bundle_description
from gsv2.inference.candidates import generate_best
from gsv2.inference.encoder_folders import AS_IN_TRAINING, EncoderFolders
from gsv2.inference.generate import GeneratedCodes, Prompt, Utterance
from gsv2.inference.references import Reference, VoiceError
from gsv2.inference.sampling import SamplingConfig
from gsv2.inference.speech import Speech as Speech
from gsv2.inference.spoken_times import SpokenText, join_times, time_text
from gsv2.inference.voice import Voice, make_voice
from gsv2.models.aligner.align import align_texts
from gsv2.models.aligner.model import Aligner
from gsv2.models.aligner.viterbi import Alignment, AlignmentError
from gsv2.models.component import Component
from gsv2.models.gpt.model import SemanticGPT
from gsv2.models.quantizer.model import Quantizer
from gsv2.models.vits2.model import VITS2
from gsv2.text.encoders.make import attach_text_encoder
from gsv2.text.normalize import normalize_text, split_sentences

logger = logging.getLogger(__name__)

MAX_SENTENCE_BYTES = 300
"""Longer sentences are split, so that an utterance stays as long as those of the training."""
PAUSE_SEC = 0.2
"""Silence between sentences."""
NOISE_SCALE = 0.5
"""Factor on the prior's standard deviation, as VITS speaks."""


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
        chosen = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        components = load_bundle(Path(path))
        if "gpt" not in components:
            raise BundleError(
                f"{path} has no GPT: its waveform model reads text itself; "
                "gsv2.inference.open_synthesizer.open_synthesizer speaks with it"
            )
        reading = read_bundle_description(Path(path)).reading
        if reading is not None and not reading.reads:
            logger.warning("the model in %s %s", path, reading)
        return cls.from_components(components, chosen, encoders)

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
        references: Sequence[Reference],
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
        sentences = split_sentences(normalize_text(text), MAX_SENTENCE_BYTES)
        prompts = tuple(
            self._prompt(reference.text, self.encode(reference.wave))
            for reference in references
            if reference.text is not None
        )
        generated = generate_best(
            self.gpt,
            self.aligner,
            [Utterance(text=sentence, prompts=prompts) for sentence in sentences],
            replace(sampling or SamplingConfig(), seed=seed),
        )
        waves = self._speak(generated, self.voice(references), seed)
        times = self._times(generated, sentences)
        codes = tuple(
            item[:, :length]
            for item, length in zip(generated.codes, generated.lengths.tolist(), strict=True)
        )
        return Speech(
            join_waves(waves, PAUSE_SEC, SAMPLE_RATE),
            SAMPLE_RATE,
            bool(generated.ended.all()),
            times,
            codes,
        )

    @torch.inference_mode()
    def encode(self, wave: np.ndarray) -> Tensor:
        """Return the codes [K, T] of a recording [N] at 32 kHz."""
        batch = torch.from_numpy(wave)[None, None].to(self.device)
        lengths = torch.tensor([len(wave)], device=self.device)
        return self.quantizer.encode(*self.speech_encoder(batch, lengths))[0]

    def voice(self, references: Sequence[Reference]) -> Voice:
        """Return the voice that references have together."""
        return make_voice(self.vits2, references, self.device)

    def resynthesise(self, wave: np.ndarray, voice: Voice) -> np.ndarray:
        """Send a recording [N] at 32 kHz through its codes; returns [N] in a voice."""
        return self.decode(self.encode(wave), voice, noise_scale=0.0)[: len(wave)]

    @torch.inference_mode()
    def decode(
        self, codes: Tensor, voice: Voice, *, noise_scale: float = NOISE_SCALE, seed: int = 0
    ) -> np.ndarray:
        """Speak codes [K, T] in a voice; returns [N] float32 at 32 kHz."""
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            lengths = torch.tensor([codes.shape[1]], device=self.device)
            wave = self.vits2.infer(
                codes[None].to(self.device),
                lengths,
                voice.style,
                noise_scale,
                torch.tensor([voice.pitch_hz], device=self.device),
            )
        return wave[0, 0].float().cpu().numpy()

    def _prompt(self, text: str, codes: Tensor) -> Prompt:
        """Return a prompt, aligned if the GPT reads by a pointer."""
        if not self.gpt.has_pointer:
            return Prompt(text, codes)
        found = self._align(codes, text)
        if isinstance(found, AlignmentError):
            raise VoiceError(f"the ref-text {text[:60]!r} does not fit its recording: {found}")
        return Prompt(text, codes, torch.from_numpy(found.characters.astype(np.int64)))

    def _align(self, codes: Tensor, text: str) -> Alignment | AlignmentError:
        """Align codes [K, T] with their text."""
        if self.aligner is None:
            raise VoiceError("a GPT that reads by a pointer needs a bundle with an aligner")
        lengths = torch.tensor([codes.shape[1]], device=self.device)
        normalized = normalize_text(text)
        return align_texts(self.aligner, codes[None].to(self.device), lengths, [normalized])[0]

    def _times(self, generated: GeneratedCodes, sentences: Sequence[str]) -> SpokenText | None:
        """Return when the sentences are spoken, one after the other with `PAUSE_SEC` between."""
        parts: list[SpokenText] = []
        start_sec = 0.0
        for item, length in enumerate(generated.lengths.tolist()):
            if length == 0:
                continue
            text = normalize_text(sentences[item])
            if generated.characters is not None:
                characters = generated.characters[item, :length].cpu().numpy()
            elif self.aligner is not None:
                found = self._align(generated.codes[item, :, :length], text)
                if isinstance(found, AlignmentError):
                    return None
                characters = found.characters
            else:
                return None
            spoken = time_text(text, characters, self.gpt.config.codes.rate_hz)
            parts.append(spoken.shifted(start_sec))
            start_sec = parts[-1].duration_sec + PAUSE_SEC
        return join_times(parts)

    def _speak(self, generated: GeneratedCodes, voice: Voice, seed: int) -> list[np.ndarray]:
        return [
            self.decode(codes[:, :length], voice, seed=seed)
            for codes, length in zip(generated.codes, generated.lengths.tolist(), strict=True)
            if length > 0
        ]
