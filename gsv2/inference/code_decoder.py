"""Decoder of codes: what was generated for sentences -> their speech, with times of words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.inference.generate import GeneratedCodes
from gsv2.inference.speech import Speech
from gsv2.inference.spoken_times import SpokenText, time_text
from gsv2.inference.voice import Voice
from gsv2.models.aligner.viterbi import Alignment, AlignmentError
from gsv2.models.vits2.model import VITS2
from gsv2.text.encoders.interface import TextTokens
from gsv2.text.normalize import normalize_text

NOISE_SCALE = 0.5
"""Factor on the prior's standard deviation, as VITS speaks."""

AlignCodes = Callable[[Tensor, str], Alignment | AlignmentError]
"""Aligns codes [K, T] with their text."""


class CodeDecoder:
    """Speaks codes by VITS2.

    Args:
        vits2: VITS2 on its device.
        align: tells which character is spoken at each frame where no pointer does; None = nobody.
        rate_hz: code frames a second.
        device: device of `vits2`.
    """

    def __init__(
        self, vits2: VITS2, align: AlignCodes | None, rate_hz: float, device: torch.device
    ) -> None:
        self._vits2 = vits2
        self._align = align
        self._rate_hz = rate_hz
        self._device = device

    @torch.inference_mode()
    def decode(
        self,
        codes: Tensor,
        voice: Voice,
        *,
        text: str | None = None,
        noise_scale: float = NOISE_SCALE,
        seed: int = 0,
    ) -> np.ndarray:
        """Speak codes [K, T] in a voice; returns [N] float32 at 32 kHz.

        Args:
            codes: codes of a sentence.
            voice: voice that speaks.
            text: what they say, for a VITS2 that reads it beside codes; None = nobody knows.
            noise_scale: factor on the prior's standard deviation.
            seed: seed of its noise.
        """
        devices = [self._device] if self._device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            lengths = torch.tensor([codes.shape[1]], device=self._device)
            wave = self._vits2.infer(
                codes[None].to(self._device),
                lengths,
                voice.style,
                noise_scale,
                torch.tensor([voice.pitch_hz], device=self._device),
                self._tokens(text),
            )
        return wave[0, 0].float().cpu().numpy()

    def speak(
        self, generated: GeneratedCodes, sentences: Sequence[str], voice: Voice, seed: int
    ) -> Iterator[Speech]:
        """Yield the speech of each sentence, with times from its own beginning."""
        lengths, ended = generated.lengths.tolist(), generated.ended.tolist()
        for item, length in enumerate(lengths):
            codes = generated.codes[item, :, :length]
            wave, times = np.zeros(0, dtype=np.float32), None
            if length > 0:
                text = normalize_text(sentences[item])
                wave = self.decode(codes, voice, text=text, seed=seed)
                read = generated.characters
                characters = None if read is None else read[item, :length].cpu().numpy()
                times = self._times(codes, text, characters)
            yield Speech(wave, SAMPLE_RATE, ended[item], times, (codes,))

    def _tokens(self, text: str | None) -> TextTokens | None:
        """Return the tokens of a text on the device; None where nobody reads them."""
        encoder = self._vits2.text_encoder
        if encoder is None or text is None:
            return None
        ids, lengths = encoder.tokenize([text])
        return TextTokens(ids.to(self._device), lengths.to(self._device))

    def _times(self, codes: Tensor, text: str, characters: np.ndarray | None) -> SpokenText | None:
        """Return when the characters of codes [K, T] are spoken, which a pointer may tell."""
        if characters is None:
            if self._align is None:
                return None
            found = self._align(codes, text)
            if isinstance(found, AlignmentError):
                return None
            characters = found.characters
        return time_text(text, characters, self._rate_hz)
