"""Quantizer that trains beside the waveform model until a set step (as GPT-SoVITS did).

Its codes serve what speech sounds like, not its features alone. The waveform model's update and
the quantizer's are two: the first ends at the code vectors, whose gradients the second takes up, so
that either has its own engine, clipping and schedule, and both together are one chain rule. At the
set step the quantizer is frozen; its hash is what codes and later stages know it by.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gsv2.audio.speech_encoders.interface import SpeechFeatures
from gsv2.audio.speech_encoders.make import make_speech_encoder, resolve_speech_encoder
from gsv2.data.corpus.format import HOP_LENGTH
from gsv2.data.stream.batch import Batch
from gsv2.losses.codebook import masked_mse
from gsv2.models.quantizer.config import QuantizerConfig
from gsv2.models.quantizer.model import Quantizer, QuantizerOutput
from gsv2.nn.codebook_ema import CodebookStatistics
from gsv2.nn.codes import CodeVectors
from gsv2.stages.codebook_updates import LiveFingerprint, over_ranks
from gsv2.stages.quantizer_start import start_quantizer
from gsv2.training.optim import OptimConfig
from gsv2.training.stage import Trainable, Update, make_trainable

logger = logging.getLogger(__name__)

QUANTIZER = "quantizer"
SPEECH_ENCODER = "ssl"
"""Name of the frozen speech encoder in the precision policy."""


@dataclass(frozen=True, kw_only=True)
class TrainedQuantizer:
    """A quantizer that trains with the waveform model."""

    network: QuantizerConfig = field(default_factory=QuantizerConfig)
    """Sizes of the network, its codebooks and its frozen speech encoder."""
    until_step: int = 100_000
    """Last step in which it trains; then it is frozen for good."""

    def __post_init__(self) -> None:
        """Check that there is a step."""
        if self.until_step < 1:
            raise ValueError(
                f"model.trained_quantizer.until_step must be at least 1, but is {self.until_step}"
            )
        if self.network.feature_stats is not None:
            raise ValueError(
                "model.trained_quantizer.network.feature_stats must be left out: features are "
                "normalised by the frames that the codebooks start from"
            )


class LivePass(NamedTuple):
    """One micro-batch on its way through the quantizer and, cut off from it, what reads codes."""

    output: QuantizerOutput
    """What the quantizer made of it; holds the graph."""
    leaf: Tensor
    """[B, T_codes, dim] code vectors that the waveform model reads."""
    probe: Tensor
    """[] 0, added to the loss of the waveform model: its gradient is the loss' weight."""
    mask: Tensor
    """[B, T] frames of the features."""


class QuantizerTraining:
    """The quantizer's part of a step.

    Args:
        config: section `model.trained_quantizer`.
        optim: entry `optim.quantizer`.
        max_steps: optimizer steps of the run; 0 = unknown, it is one by time.
        micro_batches_per_step: micro-batches of an optimizer step.
        device: device to compute on.
        autocast: context that a module of that name computes in.
    """

    def __init__(
        self,
        config: TrainedQuantizer,
        optim: OptimConfig,
        max_steps: int,
        micro_batches_per_step: int,
        device: torch.device,
        autocast: Callable[[str, torch.device], AbstractContextManager[Any]],
    ) -> None:
        if optim.ema_decay:
            raise ValueError(
                f"optim.{QUANTIZER}.ema_decay must be 0, but is {optim.ema_decay}: the codebooks, "
                "averages already, belong to the encoder as it is"
            )
        resolved = resolve_speech_encoder(config.network.speech_encoder)
        network = replace(config.network, speech_encoder=resolved)
        self.speech_encoder = make_speech_encoder(resolved).to(device)
        self.network = Quantizer(network).to(device)
        self.provenance = LiveFingerprint(self.network)
        self.trainable: Trainable = make_trainable(
            QUANTIZER, self.network, network, optim, max_steps, self.provenance
        )
        self.trainable.plain_because = "codebooks stay in fp32, and move outside engines"
        self._until_step = config.until_step
        self._micro_batches_per_step = micro_batches_per_step
        self._autocast = autocast
        self._collected: list[CodebookStatistics] = []

    def initialise(self, batches: Iterable[Batch]) -> None:
        """Start codebooks from the first micro-batches."""
        start_quantizer(self.network, batches, self._features, self._micro_batches_per_step, None)

    def trains_at(self, step: int) -> bool:
        """Tell whether it trains in a step, from 1; behind the last one, freeze it.

        A dry run may ask for a step that is still to come, and then for the first one.
        """
        if step <= self._until_step:
            if self.network.frozen:
                self.network.thaw()
            return True
        if not self.network.frozen:
            self.network.freeze()
            logger.info("step %d: the quantizer is frozen: %s", step, self.network.fingerprint())
        return False

    @torch.no_grad()
    def with_codes(self, batch: Batch) -> Batch:
        """Return a batch of at least one clip with the codes that its audio has now."""
        codes = self.network.encode(*self._features(batch))
        return replace(batch, codes=codes, code_lengths=(codes[:, 0] >= 0).sum(dim=1))

    def with_code_lengths(self, batch: Batch) -> Batch:
        """Return a batch with the numbers of code frames that its audio will have."""
        if batch.wave_lengths is None:
            return batch
        per_code = self.network.config.stride
        frames = batch.wave_lengths // HOP_LENGTH
        return replace(batch, code_lengths=(frames + per_code - 1) // per_code)

    def start_pass(self, batch: Batch, share: float) -> LivePass:
        """Quantize a batch of at least one clip.

        Args:
            batch: batch with audio.
            share: what it counts: 0 for silence in place of clips, which moves no codebook.
        """
        features, mask = self._features(batch)
        output: QuantizerOutput = self.trainable(features, mask)
        statistics = output.statistics if share else _nothing(output.statistics)
        self._collected.append(statistics)
        leaf = output.vectors.detach().requires_grad_()
        probe = torch.zeros((), device=leaf.device, requires_grad=True)
        return LivePass(output, leaf, probe, mask)

    def update(self, live: LivePass, share: float) -> Update:
        """Return the quantizer's update, once the waveform model's gradients are there.

        Args:
            live: pass of the micro-batch.
            share: what the losses count: 0 for a batch without a clip.
        """
        assert live.leaf.grad is not None, "the waveform model was updated before"
        assert live.probe.grad is not None, "the probe was added to its loss"
        weight = live.probe.grad
        of_wave = torch.where(weight == 0, 0.0, live.leaf.grad / weight)
        passed_on = (live.output.vectors * of_wave).sum()
        reconstruction = masked_mse(live.output.reconstruction, live.output.target, live.mask)
        own = reconstruction + self.network.config.commitment_weight * live.output.commitment
        metrics = {
            f"{QUANTIZER}/reconstruction": share * reconstruction.detach(),
            f"{QUANTIZER}/commitment": share * live.output.commitment.detach(),
        }
        # The value is that of its own losses: what is passed on has a gradient and no meaning.
        return Update(QUANTIZER, share * (own + passed_on - passed_on.detach()), metrics)

    def move_codebooks(self, kept: CodeVectors) -> None:
        """Apply the statistics of the step's micro-batches, once for all of them.

        Args:
            kept: the waveform model's copy of the codebooks.
        """
        if not self._collected:
            return
        self.network.update_codebooks(over_ranks(self._collected))
        self._collected = []
        kept.set_codebooks(self.network.codebooks.entries)

    def _features(self, batch: Batch) -> SpeechFeatures:
        assert batch.wave is not None
        assert batch.wave_lengths is not None
        with self._autocast(SPEECH_ENCODER, batch.wave.device):
            return self.speech_encoder(batch.wave, batch.wave_lengths)


def _nothing(statistics: CodebookStatistics) -> CodebookStatistics:
    """Return statistics of no frame."""
    return CodebookStatistics(*(torch.zeros_like(part) for part in statistics))
