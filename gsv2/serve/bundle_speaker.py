"""Speaker of a bundle, by its synthesizer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gsv2.audio.watermark import WatermarkStream
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.inference.references import VoiceError, check_weight, read_reference
from gsv2.inference.sampling import SamplingConfig
from gsv2.inference.speech import Speech
from gsv2.inference.synthesizer import Synthesizer
from gsv2.inference.text_synthesizer import TextSynthesizer
from gsv2.inference.voice_file import load_voice
from gsv2.serve.speaker import SpokenPiece, SpokenWord


class BundleSpeaker:
    """The `Speaker` of a bundle.

    Args:
        synthesizer: synthesizer of the bundle.
        sampling: how codes are drawn; rate and seed come with each request.
    """

    def __init__(
        self, synthesizer: Synthesizer | TextSynthesizer, sampling: SamplingConfig
    ) -> None:
        self._synthesizer = synthesizer
        self._sampling = sampling

    @property
    def sample_rate(self) -> int:
        """Samples a second."""
        return SAMPLE_RATE

    def enroll(self, content: bytes, name: str, text: str | None) -> Sequence[Any]:
        """Return the enrolled reference of a recording, see `Speaker`."""
        return self._synthesizer.enroll([read_reference(content, name, text)])

    def load(self, path: Path) -> Sequence[Any]:
        """Return the references of a voice file.

        Raises:
            VoiceError: it is none, or does not fit the bundle.
        """
        return self._synthesizer.enroll(load_voice(path).references)

    def mix(self, parts: Sequence[tuple[Sequence[Any], float]]) -> Sequence[Any]:
        """Return the voice that voices make together, see `Speaker`."""
        mixed = []
        for number, (references, weight) in enumerate(parts):
            check_weight("a voice", weight)
            share = weight / sum(reference.weight for reference in references)
            mixed += [
                replace(r, weight=r.weight * share, speaker=f"{number} {r.speaker}")
                for r in references
            ]
        return mixed

    def stream(
        self,
        text: str,
        references: Sequence[Any],
        *,
        speed: float,
        seed: int,
        check: Callable[[], None],
    ) -> Iterator[SpokenPiece]:
        """Yield speech piece by piece, see `Speaker`."""
        synthesizer = self._synthesizer
        if speed != 1 and isinstance(synthesizer, Synthesizer) and not synthesizer.gpt.has_pointer:
            raise VoiceError(f"this model speaks at speed 1 alone, but speed is {speed}")
        sampling = replace(self._sampling, speaking_rate=speed)
        watermark = WatermarkStream()
        for speech in synthesizer.stream(
            text, references, seed=seed, sampling=sampling, each_step=check
        ):
            piece = to_piece(speech._replace(wave=watermark.push(speech.wave)))
            if len(piece.wave) or piece.words or piece.warnings:
                yield piece
        yield SpokenPiece(watermark.push(np.zeros(0, dtype=np.float32), is_last=True))


def to_piece(speech: Speech) -> SpokenPiece:
    """Return a piece of speech as a server sends it."""
    words = () if speech.times is None else speech.times.words
    return SpokenPiece(
        speech.wave,
        tuple(SpokenWord(*word) for word in words),
        tuple(str(warning) for warning in speech.warnings),
    )
