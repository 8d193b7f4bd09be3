"""Floating-point operations that training the waveform model on given clips needs.

They are counted by torch on networks without memory (the meta device) at a few lengths.
Convolutions cost in proportion to the frames of a clip and attention to their square, and so do
they to the tokens of its text, so the polynomial of second degree through the counts is exact for
every length, and padding is never in it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gsv2.models.vits2.config import VITS2Config
from gsv2.models.vits2.decoded import CodesWithText, TextToAlign, TrainedSegments
from gsv2.models.vits2.discriminators import DiscriminatorConfig, MultiDiscriminator
from gsv2.models.vits2.duration_discriminator import (
    DurationDiscriminator,
    DurationDiscriminatorConfig,
)
from gsv2.models.vits2.model import VITS2
from gsv2.models.vits2.text_prior import NUM_EDGES
from gsv2.nn.flops import flop_counter
from gsv2.text.encoders.interface import TextTokens
from gsv2.text.encoders.vector_input import VectorInput

_PROBES = ((2, 1), (3, 1), (4, 1), (2, 2), (2, 3), (3, 2))
"""Multiples of the least frames and tokens; the first three tell all of a model without texts."""
_NUM_WITHOUT_TEXTS = 3
_LEAST_TOKENS = 8


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
        with torch.device("meta"):
            model = VITS2(generator)
            judges = MultiDiscriminator(discriminator)
            self.reads_text = model.text_encoder is not None
            probes = [
                (shortest * frames, _LEAST_TOKENS * tokens if self.reads_text else 0)
                for frames, tokens in _PROBES[: None if self.reads_text else _NUM_WITHOUT_TEXTS]
            ]
            counts = [_count_generator(model, *probe, segment_frames) for probe in probes]
            num_samples = segment_frames * generator.mel.hop_length
            self.discriminator_update = _count_update(judges, num_samples)
            self.judgement = _count_judgement(judges, num_samples)
        places = self._terms(*zip(*probes, strict=True))
        self._factors = np.linalg.solve(places, np.array(counts, dtype=np.float64))

    def generator(self, frames: Sequence[int], tokens: Sequence[int] | None = None) -> float:
        """Return the cost of clips, forward and backward.

        Args:
            frames: frames of each.
            tokens: tokens of their texts, for a model that reads them.
        """
        return float(self._terms(frames, tokens or ()).sum(axis=0) @ self._factors)

    def _terms(self, frames: Sequence[int], tokens: Sequence[int]) -> np.ndarray:
        """Return [clips, terms] of the polynomial."""
        T = np.asarray(frames, dtype=np.float64)
        terms = [np.ones_like(T), T, T**2]
        if self.reads_text:
            S = np.asarray(tokens, dtype=np.float64)
            terms += [S, S**2, S * T]
        return np.stack(terms, axis=-1)


class DurationFlops:
    """What the texts of clips cost a duration discriminator."""

    def __init__(self, config: DurationDiscriminatorConfig, dim: int) -> None:
        """Count; see `DurationDiscriminator` for the arguments."""
        with torch.device("meta"):
            judge = DurationDiscriminator(config, dim)
            self._update = _count_duration_update(judge, dim)
            self._judgement = _count_duration_judgement(judge, dim)

    def update(self, tokens: Sequence[int]) -> float:
        """Return what its own update costs: recorded and predicted durations of texts."""
        return self._update * sum(number + NUM_EDGES for number in tokens)

    def judgement(self, tokens: Sequence[int]) -> float:
        """Return what its part in the generator's update costs."""
        return self._judgement * sum(number + NUM_EDGES for number in tokens)


def _count_generator(model: VITS2, num_frames: int, num_tokens: int, segment_frames: int) -> int:
    """Count one clip of `num_frames`, forward and backward."""
    config, lengths = model.config, torch.tensor([num_frames])
    content = _content(model, num_frames, num_tokens)
    pitch = torch.zeros(1, segment_frames) if model.has_pitch else None
    with flop_counter() as counter:
        decoded = model(
            content,
            torch.zeros(1, config.mel.num_bins, num_frames),
            lengths,
            torch.zeros(1, config.mel.num_mels, num_frames),
            lengths,
            TrainedSegments(torch.zeros(1, dtype=torch.int64), segment_frames, pitch),
        )
        terms = [decoded.wave, decoded.z_p, decoded.m_p, decoded.logs_p, decoded.logs_q]
        if decoded.aligned is not None:
            terms.append(decoded.aligned.duration_loss)
        if decoded.contour is not None:
            terms += [decoded.contour.log_hz, decoded.contour.voiced]
        torch.stack([term.sum() for term in terms]).sum().backward()
    return counter.get_total_flops()


def _content(
    model: VITS2, num_frames: int, num_tokens: int
) -> Tensor | CodesWithText | TextToAlign:
    """Return what the prior reads of one clip."""
    config, encoder = model.config, model.text_encoder
    vectors = config.text_vectors
    shape = (1, num_tokens)
    ids = torch.zeros(shape, dtype=torch.int64)
    if isinstance(encoder, VectorInput) and vectors is not None and vectors.dim is not None:
        ids = torch.zeros(*shape, vectors.dim)
    text = TextTokens(ids, torch.tensor([num_tokens]))
    if config.prior == "text":
        return TextToAlign(text, 0.0)
    num_codes = num_frames // config.frames_per_code
    codes = torch.zeros(1, config.codes.num_codebooks, num_codes, dtype=torch.int64)
    return codes if encoder is None else CodesWithText(codes, text)


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


def _count_duration_update(judge: DurationDiscriminator, dim: int) -> float:
    """Count a token in the duration discriminator's own update."""
    hidden, mask = torch.zeros(2, _LEAST_TOKENS, dim), torch.ones(2, _LEAST_TOKENS).bool()
    with flop_counter() as counter:
        judge(hidden, torch.zeros(2, _LEAST_TOKENS), mask).sum().backward()
    return counter.get_total_flops() / _LEAST_TOKENS


def _count_duration_judgement(judge: DurationDiscriminator, dim: int) -> float:
    """Count a token in the generator's update; freezes the discriminator."""
    judge.requires_grad_(False)
    predicted = torch.zeros(1, _LEAST_TOKENS, requires_grad=True)
    hidden, mask = torch.zeros(1, _LEAST_TOKENS, dim), torch.ones(1, _LEAST_TOKENS).bool()
    with flop_counter() as counter:
        judge(hidden, predicted, mask).sum().backward()
    return counter.get_total_flops() / _LEAST_TOKENS
