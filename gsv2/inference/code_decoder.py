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
from gsv2.models.vits2.generator_stream import PitchMove, RunFrames, stream_generator
from gsv2.models.vits2.model import VITS2
from gsv2.models.vits2.wave_stream import PriorNoise, WaveStream, WaveWindows
from gsv2.text.encoders.interface import TextTokens
from gsv2.text.normalize import normalize_text

NOISE_SCALE = 0.0
"""Factor on the prior's standard deviation: codes are spoken by its mean. VITS draws noise (0.667)
for what a text does not say; codes say most of it. Of the words of four voices, Whisper base
misheard .249 at 0.5 and .228 at 0."""
_WINDOWS = WaveWindows()
_LATE_WINDOWS = WaveWindows(first=64)
"""Windows where the pitch must be heard before it can be moved to that of the voice."""

AlignCodes = Callable[[Tensor, str], Alignment | AlignmentError]
"""Aligns codes [K, T] with their text."""


class CodeDecoder:
    """Speaks codes by VITS2.

    Args:
        vits2: VITS2 on its device.
        align: tells which character is spoken at each frame where no pointer does; None = nobody.
        rate_hz: code frames a second.
        device: device of `vits2`.
        run_generator: what takes the place of its generator's layers; None = nothing.
    """

    def __init__(
        self,
        vits2: VITS2,
        align: AlignCodes | None,
        rate_hz: float,
        device: torch.device,
        run_generator: RunFrames | None = None,
    ) -> None:
        self._vits2 = vits2
        self._align = align
        self._rate_hz = rate_hz
        self._device = device
        self._run_generator = run_generator

    @torch.inference_mode()
    def decode(
        self, codes: Tensor, voice: Voice, *, noise_scale: float = NOISE_SCALE, seed: int = 0
    ) -> np.ndarray:
        """Speak codes [K, T] of a recording, all at once; returns [N] float32 at 32 kHz."""
        stream = self._start(voice._replace(own_hz=0.0), noise_scale, seed, None)
        return stream.push(codes, is_last=True).cpu().numpy()

    def start(self, voice: Voice, seed: int, sentence: str) -> WaveStream:
        """Return what speaks the codes of a sentence as they come.

        A VITS2 that reads the sentence too speaks when they all have come: only then is it known
        where its tokens are said.
        """
        text = self._tokens(normalize_text(sentence))
        if text is not None:
            return self._start(voice, NOISE_SCALE, seed, None, text)
        windows = _LATE_WINDOWS if self._vits2.has_pitch and not voice.own_hz else _WINDOWS
        return self._start(voice, NOISE_SCALE, seed, windows)

    @torch.inference_mode()
    def speak(
        self, generated: GeneratedCodes, sentences: Sequence[str], voice: Voice, seed: int
    ) -> Iterator[Speech]:
        """Yield the speech of each sentence, with times from its own beginning."""
        for item, (sentence, length) in enumerate(
            zip(sentences, generated.lengths.tolist(), strict=True)
        ):
            codes, wave = generated.codes[item, :, :length], np.zeros(0, dtype=np.float32)
            if length > 0:
                wave = self.start(voice, seed, sentence).push(codes, is_last=True).cpu().numpy()
            yield self.describe(generated, item, sentence)._replace(wave=wave)

    def describe(self, generated: GeneratedCodes, item: int, sentence: str) -> Speech:
        """Return all that is known of a sentence but its wave, with times from its beginning."""
        length = int(generated.lengths[item])
        codes, times = generated.codes[item, :, :length], None
        if length > 0:
            read = generated.characters
            characters = None if read is None else read[item, :length].cpu().numpy()
            times = self._times(codes, normalize_text(sentence), characters)
        nothing = np.zeros(0, dtype=np.float32)
        return Speech(nothing, SAMPLE_RATE, bool(generated.ended[item]), times, (codes,))

    def _start(
        self,
        voice: Voice,
        noise_scale: float,
        seed: int,
        windows: WaveWindows | None,
        text: TextTokens | None = None,
    ) -> WaveStream:
        median, own = (torch.tensor([hz], device=self._device) for hz in voice[1:])
        pitch = PitchMove(median, own if voice.own_hz else None)
        return WaveStream(
            self._vits2,
            voice.style,
            stream_generator(self._vits2.generator, voice.style, pitch, self._run_generator),
            PriorNoise(noise_scale, seed),
            windows,
            text,
        )

    def _tokens(self, text: str) -> TextTokens | None:
        """Return the tokens of a text on the device; None where VITS2 reads codes alone."""
        encoder = self._vits2.text_encoder
        if encoder is None:
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
