"""Training of the quantizer on frozen speech features."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from gsv2.audio.speech_encoders.interface import SpeechFeatures
from gsv2.audio.speech_encoders.make import make_speech_encoder, resolve_speech_encoder
from gsv2.data.corpus.format import HOP_LENGTH
from gsv2.data.stream.batch import BadClip, Batch
from gsv2.losses.codebook import count_codes, masked_mse, perplexity, unexplained_variance
from gsv2.models.quantizer.feature_statistics import FeatureStatistics
from gsv2.models.quantizer.flops import quantizer_flops_per_frame
from gsv2.models.quantizer.model import Quantizer, QuantizerConfig, QuantizerOutput
from gsv2.nn.codebook_ema import CodebookStatistics, dead_entries
from gsv2.stages.codebook_updates import LiveFingerprint, over_ranks
from gsv2.stages.quantizer_start import start_quantizer
from gsv2.stages.sections import check_optim
from gsv2.training.config import RunConfig
from gsv2.training.optim import OptimConfig
from gsv2.training.precision.policy import PrecisionPolicy
from gsv2.training.stage import Panel, Update, Workload, audio_workload, make_trainable

_NAME = "quantizer"


@dataclass(frozen=True, kw_only=True)
class QuantizerRunConfig(RunConfig):
    """A run of the quantizer stage."""

    model: QuantizerConfig = field(default_factory=QuantizerConfig)
    """Sizes of the network, its codebooks and its speech encoder."""
    optim: dict[str, OptimConfig] = field(default_factory=lambda: {_NAME: OptimConfig()})
    """Optimizer and schedule of `quantizer`."""


class QuantizerStage:
    """One trainable, `quantizer`; its targets are feature frames."""

    members: tuple[str, ...] = ("audio",)
    codes = None
    full_step = 1

    def __init__(self, config: QuantizerRunConfig, device: torch.device) -> None:
        check_optim(config.optim, (_NAME,))
        kinds = {"ssl": config.model.speech_encoder.name}
        self.precision = PrecisionPolicy(config.precision, ("ssl", _NAME, "losses"), kinds)
        resolved = resolve_speech_encoder(config.model.speech_encoder)
        self.model_config = replace(config.model, speech_encoder=resolved)
        self._micro_batches_per_step = config.data.micro_batches_per_step
        self.device = device
        self._statistics: FeatureStatistics | None = None
        if config.model.feature_stats is not None:
            file = Path(config.model.feature_stats)
            self._statistics = FeatureStatistics.load(file, resolved.identity)
        self.speech_encoder = make_speech_encoder(resolved).to(device)
        self.precision.frozen["ssl"] = self.speech_encoder
        self.quantizer = Quantizer(self.model_config).to(device)
        optim = config.optim[_NAME]
        if optim.ema_decay:
            raise ValueError(
                f"optim.{_NAME}.ema_decay must be 0, but is {optim.ema_decay}: the codebooks, "
                "averages already, belong to the encoder as it is"
            )
        provenance, steps = LiveFingerprint(self.quantizer), config.trainer.max_steps
        made = make_trainable(_NAME, self.quantizer, self.model_config, optim, steps, provenance)
        made.plain_because = "codebooks stay in fp32, and move outside engines"
        self.trainables = {_NAME: made}
        self._flops_per_frame = quantizer_flops_per_frame(self.model_config)
        self._collected: list[CodebookStatistics] = []
        self._refused: list[tuple[int, BadClip]] = []

    def initialise(self, batches: Iterable[Batch]) -> None:
        """Start normalisation and codebooks from a reservoir: enough frames, or one epoch."""
        start_quantizer(
            self.quantizer, batches, self._features, self._micro_batches_per_step, self._statistics
        )

    def num_targets(self, batch: Batch) -> Mapping[str, int]:
        """Return the valid feature frames."""
        if batch.wave_lengths is None:
            return {_NAME: 0}
        return {_NAME: int((batch.wave_lengths // HOP_LENGTH).sum())}

    def workload(self, batch: Batch) -> Workload:
        """Return the audio."""
        return audio_workload(batch)

    def flops(self, batch: Batch) -> Mapping[str, float]:
        """Return what the frames cost the quantizer; its speech encoder is frozen."""
        return {_NAME: self._flops_per_frame * self.num_targets(batch)[_NAME]}

    def updates(self, batch: Batch, step: int) -> Iterator[Update]:
        """Yield the one update; once all micro-batches had theirs, move the codebooks."""
        features = self._features(batch)
        self._note_refused(batch, features)
        output = self.trainables[_NAME](*features)
        self._collected.append(output.statistics)
        loss, metrics = self._loss(output, features.mask)
        yield Update(_NAME, loss, metrics | self._codebook_metrics(output))
        if self._collected:  # the first micro-batch to come back does it for all of the step
            self.quantizer.update_codebooks(over_ranks(self._collected))
            self._collected = []

    @torch.no_grad()
    def validate(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return losses, the share of variance not explained, and perplexity / V."""
        features = self._features(batch)
        output = self.quantizer(*features)
        loss, metrics = self._loss(output, features.mask)
        metrics[f"{_NAME}/loss"] = loss
        metrics[f"{_NAME}/feature_error"] = unexplained_variance(
            output.reconstruction, output.target, features.mask
        )
        size = self.model_config.codes.codebook_size
        shares = perplexity(count_codes(output.codes, size)) / size
        return metrics | _per_codebook("perplexity_share", shares)

    @torch.no_grad()
    def panels(self, batch: Batch) -> Sequence[Panel]:
        """Return each clip's features, what comes back of them, and the distance."""
        features = self._features(batch)
        output = self.quantizer(*features)
        images = {
            "features": output.target,
            "through_codes": output.reconstruction,
            "error": (output.reconstruction - output.target).abs(),
        }
        lengths = features.mask.sum(dim=1).tolist()
        return [
            Panel(name=key, images={title: image[i, :n].T for title, image in images.items()})
            for i, (key, n) in enumerate(zip(batch.keys, lengths, strict=True))
        ]

    def _features(self, batch: Batch) -> SpeechFeatures:
        """Return the features; of a batch without clips, one frame of padding."""
        if batch.wave is None or batch.wave_lengths is None or not batch.num_clips:
            features = torch.zeros(1, 1, self.speech_encoder.dim, device=self.device)
            return SpeechFeatures(features, torch.zeros(1, 1, dtype=torch.bool, device=self.device))
        with self.precision.autocast("ssl", self.device):
            return self.speech_encoder(batch.wave, batch.wave_lengths)

    def take_refused(self) -> list[tuple[int, BadClip]]:
        """Return (micro-batch, clip) of clips without finite features, and forget them."""
        refused, self._refused = self._refused, []
        return refused

    def _note_refused(self, batch: Batch, features: SpeechFeatures) -> None:
        """Remember the clips that the speech encoder gave no frame though they have some."""
        if batch.wave_lengths is None or not self.model_config.speech_encoder.is_pretrained:
            return
        lost = (batch.wave_lengths >= HOP_LENGTH) & ~features.mask.any(dim=1)
        for clip in lost.nonzero().flatten().tolist():
            bad = BadClip(
                key=batch.keys[clip],
                shard=f"micro-batch {batch.micro_batch}",
                reason=f"its features by {self.speech_encoder.name} are not finite",
                mixture_part=batch.mixture_parts[clip],
                epoch=batch.epochs[clip],
            )
            self._refused.append((batch.micro_batch, bad))

    def _loss(self, output: QuantizerOutput, mask: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        reconstruction = masked_mse(output.reconstruction, output.target, mask)
        loss = reconstruction + self.model_config.commitment_weight * output.commitment
        return loss, {
            f"{_NAME}/reconstruction": reconstruction.detach(),
            f"{_NAME}/commitment": output.commitment.detach(),
        }

    def _codebook_metrics(self, output: QuantizerOutput) -> dict[str, Tensor]:
        """Describe the codebooks as the last step left them."""
        sizes = self.quantizer.codebooks.cluster_sizes
        dead = dead_entries(sizes, self.model_config.codebooks.dead_share)
        energy = {
            f"{_NAME}/residual_energy_{level}": value
            for level, value in enumerate(output.residual_energy)
        }
        return {
            **_per_codebook("perplexity", perplexity(sizes)),
            **_per_codebook("usage", (~dead).float().mean(dim=-1)),
            f"{_NAME}/revived": self.quantizer.codebooks.revived.sum(),
            **energy,
        }


def _per_codebook(term: str, values: Tensor) -> dict[str, Tensor]:
    return {f"{_NAME}/{term}_{k}": value for k, value in enumerate(values)}
