"""Floating-point operations that training the waveform model on given clips needs.

They are counted by torch on networks without memory (the meta device) at three lengths.
Convolutions cost in proportion to the frames of a clip and attention to their square, so the
parabola through three counts is exact for every length, and padding is never in it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from gsv2.models.vits2.config import VITS2Config
from gsv2.models.vits2.decoded import TrainedSegments
from gsv2.models.vits2.discriminators import DiscriminatorConfig, MultiDiscriminator
from gsv2.models.vits2.model import VITS2
from gsv2.nn.flops import flop_counter

_NUM_PROBES = 3


class VITS2Flops:
    """What one clip costs the generator, and one segment the discriminators.

    Of these, `discriminator_update` is their own update and `judgement` their part in the
    generator's.
    """

    def __init__(
        self, generator: VITS2Config, discriminator: DiscriminatorConfig, segment_frames: int
    ) -> None:
        """Count; takes seconds, and no memory."""
        per_code = generator.frames_per_code
        shortest = -(-segment_frames // per_code) * per_code
        lengths = [shortest * (2 + number) for number in range(_NUM_PROBES)]
        with torch.device("meta"):
            model = VITS2(generator)
            judges = MultiDiscriminator(discriminator)
            counts = [_count_generator(model, length, segment_frames) for length in lengths]
            num_samples = segment_frames * generator.mel.hop_length
            self.discriminator_update = _count_update(judges, num_samples)
            self.judgement = _count_judgement(judges, num_samples)
        places = np.vander(np.array(lengths, dtype=np.float64), increasing=True)
        self._parabola = np.linalg.solve(places, np.array(counts, dtype=np.float64))

    def generator(self, frames: Sequence[int]) -> float:
        """Return the cost of clips with so many frames, forward and backward."""
        lengths = np.asarray(frames, dtype=np.float64)
        return float(np.vander(lengths, _NUM_PROBES, increasing=True).sum(axis=0) @ self._parabola)


def _count_generator(model: VITS2, num_frames: int, segment_frames: int) -> int:
    """Count one clip of `num_frames`, forward and backward."""
    config, lengths = model.config, torch.tensor([num_frames])
    codes = torch.zeros(
        1, config.codes.num_codebooks, num_frames // config.frames_per_code, dtype=torch.int64
    )
    with flop_counter() as counter:
        decoded = model(
            codes,
            torch.zeros(1, config.mel.num_bins, num_frames),
            lengths,
            torch.zeros(1, config.mel.num_mels, num_frames),
            lengths,
            TrainedSegments(torch.zeros(1, dtype=torch.int64), segment_frames),
        )
        terms = (decoded.wave, decoded.z_p, decoded.m_p, decoded.logs_p, decoded.logs_q)
        sum(term.sum() for term in terms).backward()
    return counter.get_total_flops()


def _count_update(judges: MultiDiscriminator, num_samples: int) -> int:
    """Count one segment in the discriminators' own update: the recorded and the generated wave."""
    with flop_counter() as counter:
        logits, _ = judges(torch.zeros(2, 1, num_samples))
        sum(part.sum() for part in logits).backward()
    return counter.get_total_flops()


def _count_judgement(judges: MultiDiscriminator, num_samples: int) -> int:
    """Count one segment in the generator's update; freezes the discriminators."""
    real, fake = torch.zeros(1, 1, num_samples), torch.zeros(1, 1, num_samples, requires_grad=True)
    judges.requires_grad_(False)
    with flop_counter() as counter:
        with torch.no_grad():
            judges(real)
        logits, features = judges(fake)
        flat = [*logits, *(part for of_judge in features for part in of_judge)]
        sum(part.sum() for part in flat).backward()
    return counter.get_total_flops()
