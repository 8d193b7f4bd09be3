"""Speaker of a bundle, by its synthesizer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.inference.references import VoiceError, read_reference
from gsv2.inference.sampling import SamplingConfig
from gsv2.inference.synthesizer import Synthesizer


class BundleSpeaker:
    """The `Speaker` of a bundle.

    Args:
        synthesizer: synthesizer of the bundle.
        sampling: how codes are drawn; rate and seed come with each request.
    """

    def __init__(self, synthesizer: Synthesizer, sampling: SamplingConfig) -> None:
        self._synthesizer = synthesizer
        self._sampling = sampling

    @property
    def sample_rate(self) -> int:
        """Samples a second."""
        return SAMPLE_RATE

    def enroll(self, content: bytes, name: str, text: str | None) -> Sequence[Any]:
        """Return the enrolled reference of a recording, see `Speaker`."""
        return self._synthesizer.enroll([read_reference(content, name, text)])

    def stream(
        self,
        text: str,
        references: Sequence[Any],
        *,
        speed: float,
        seed: int,
        check: Callable[[], None],
    ) -> Iterator[np.ndarray]:
        """Yield speech sentence by sentence, see `Speaker`."""
        if speed != 1 and not self._synthesizer.gpt.has_pointer:
            raise VoiceError(f"this model speaks at speed 1 alone, but speed is {speed}")
        sampling = replace(self._sampling, speaking_rate=speed)
        for speech in self._synthesizer.stream(
            text, references, seed=seed, sampling=sampling, each_step=check
        ):
            yield speech.wave
