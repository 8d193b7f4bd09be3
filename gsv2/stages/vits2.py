"""Training of the waveform model against its discriminators; the quantizer is frozen.

One pass of the generator serves both updates of a step: the discriminators learn from its wave,
detached, then the generator learns from the discriminators so updated (VITS, arXiv 2106.06103,
section 2.4).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from gsv2.audio.mel import MelConfig, MelSpectrogram
from gsv2.data.batch import Batch
from gsv2.losses.adversarial import discriminator_loss, feature_matching_loss, generator_loss
from gsv2.losses.kl import kl_divergence
from gsv2.losses.reconstruction import mel_distance
from gsv2.models.component import load_component
from gsv2.models.discriminators import DiscriminatorConfig, MultiDiscriminator
from gsv2.models.quantizer import Quantizer
from gsv2.models.vits2.model import VITS2, Decoded, VITS2Config
from gsv2.models.vits2.references import next_references, random_references
from gsv2.models.vits2.segments import cut_segments, random_starts
from gsv2.nn.masks import length_mask
from gsv2.stages.vits2_inputs import VITS2Inputs, make_inputs, silent_batch
from gsv2.training.checkpoint import find_component
from gsv2.training.optim import OptimConfig, make_optimizer, make_scheduler
from gsv2.training.precision import PrecisionPolicy
from gsv2.training.run import RunConfig
from gsv2.training.stage import Trainable, Update

GENERATOR = "generator"
DISCRIMINATOR = "discriminator"
_KL_START = 1e-3
"""Share of its weight that kl starts with when it is warmed up."""


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """Weights of the generator's losses; the adversarial one has 1."""

    feature_matching: float = 2.0
    mel: float = 45.0
    kl: float = 1.0
    kl_warmup_steps: int = 0
    """Steps in which the weight of kl rises to its value, geometrically from a thousandth of it.
    A short training needs them: else the prior pulls the latent to nothing before the decoder
    has learnt to heed it."""

    def kl_at(self, step: int) -> float:
        """Return the weight of kl at a step, from 1."""
        if step >= self.kl_warmup_steps:
            return self.kl
        return self.kl * _KL_START ** (1 - step / self.kl_warmup_steps)


@dataclass(frozen=True, kw_only=True)
class VITS2ModelSection:
    """The `model` section."""

    quantizer: str
    """Run folder, checkpoint, bundle or file of the quantizer that made the codes."""
    generator: VITS2Config = field(default_factory=VITS2Config)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    mel_loss: MelConfig = field(default_factory=MelConfig)
    """The spectrogram whose distance is minimised."""
    loss_weights: LossWeights = field(default_factory=LossWeights)
    segment_frames: int = 32
    """Frames of the segment that is decoded of each clip (32 = 20480 samples)."""
    self_reference_probability: float = 0.3
    """How often a clip is its own style reference, though its speaker has others here."""

    def __post_init__(self) -> None:
        """Check the probability."""
        if not 0 <= self.self_reference_probability <= 1:
            raise ValueError(
                "model.self_reference_probability must lie in 0..1, "
                f"but is {self.self_reference_probability}"
            )


def _default_optim() -> dict[str, OptimConfig]:
    gan = OptimConfig(
        lr=2e-4, betas=(0.8, 0.99), eps=1e-9, schedule="exponential", max_grad_norm=1000.0
    )
    return {GENERATOR: gan, DISCRIMINATOR: gan}


@dataclass(frozen=True, kw_only=True)
class VITS2RunConfig(RunConfig):
    """One run of the waveform stage."""

    model: VITS2ModelSection
    optim: dict[str, OptimConfig] = field(default_factory=_default_optim)
    """Of `generator` and `discriminator`."""


class VITS2Stage:
    """Yields the discriminators' update, then the generator's."""

    members: tuple[str, ...] = ("audio", "codes")

    def __init__(self, config: VITS2RunConfig, device: torch.device) -> None:
        names = (GENERATOR, DISCRIMINATOR)
        if set(config.optim) != set(names):
            raise ValueError(f"optim must have {' and '.join(names)}, but has {list(config.optim)}")
        self.config = config
        self.device = device
        self.precision = PrecisionPolicy(config.precision, (*names, "losses"))
        source = find_component(Path(config.model.quantizer), "quantizer")
        component = load_component(source, "quantizer")
        vectors = Quantizer.from_component(component).code_vectors()
        self.model_config = replace(config.model.generator, codes=vectors.config)
        self._network = VITS2(self.model_config).to(device)
        self._network.code_vectors.set_codebooks(vectors.codebooks)
        self._loss_mel = MelSpectrogram(config.model.mel_loss).to(device)
        discriminator = MultiDiscriminator(config.model.discriminator).to(device)
        self.trainables = {
            GENERATOR: self._trainable(
                "vits2", GENERATOR, self._network, asdict(self.model_config), component.provenance
            ),
            DISCRIMINATOR: self._trainable(
                "discriminator",
                DISCRIMINATOR,
                discriminator,
                asdict(config.model.discriminator),
                component.provenance,
            ),
        }

    def _trainable(
        self,
        kind: str,
        name: str,
        module: torch.nn.Module,
        config: Mapping[str, object],
        provenance: Mapping[str, str],
    ) -> Trainable:
        optim = self.config.optim[name]
        optimizer = make_optimizer(module, optim)
        return Trainable(
            kind=kind,
            module=module,
            config=config,
            optimizer=optimizer,
            scheduler=make_scheduler(optimizer, optim, self.config.trainer.max_steps),
            max_grad_norm=optim.max_grad_norm,
            provenance=provenance,
        )

    def initialise(self, batches: Iterable[Batch]) -> None:
        """Do nothing: no part depends on data."""

    def num_targets(self, batch: Batch) -> Mapping[str, int]:
        """Count the clips: each gives one segment and one mean divergence."""
        num_clips = batch.num_clips if batch.weight > 0 else 0
        return {GENERATOR: num_clips, DISCRIMINATOR: num_clips}

    def updates(self, batch: Batch, step: int) -> Iterator[Update]:
        """Yield the discriminators' update, then the generator's; without a clip, zero losses."""
        inputs, share = self._inputs(batch)
        size = self.config.model.segment_frames
        starts = random_starts(inputs.lengths, size)
        reference = random_references(inputs.sequence, self.config.model.self_reference_probability)
        with self.precision.autocast(GENERATOR, self.device):
            decoded: Decoded = self.trainables[GENERATOR](
                inputs.codes,
                inputs.magnitude,
                inputs.lengths,
                inputs.mel[reference],
                inputs.lengths[reference],
                starts,
                size,
            )
        hop = self.model_config.mel.hop_length
        real = cut_segments(inputs.wave, starts * hop, size * hop)
        yield _scaled(self._discriminator_update(real, decoded.wave.detach()), share)
        yield _scaled(self._generator_update(real, decoded, step), share)

    def _inputs(self, batch: Batch) -> tuple[VITS2Inputs, float]:
        """Return the inputs and what the losses count: 0 for a batch without a clip."""
        if batch.num_clips:
            return make_inputs(batch, self._network), 1.0
        return make_inputs(silent_batch(batch, self._network, self.device), self._network), 0.0

    def _discriminator_update(self, real: Tensor, fake: Tensor) -> Update:
        with self.precision.autocast(DISCRIMINATOR, self.device):
            logits, _ = self.trainables[DISCRIMINATOR](torch.cat([real, fake]))
        of_real, of_fake = zip(*(both.chunk(2) for both in logits), strict=True)
        return Update(DISCRIMINATOR, discriminator_loss(of_real, of_fake), {})

    def _generator_update(self, real: Tensor, decoded: Decoded, step: int) -> Update:
        with (
            self.trainables[DISCRIMINATOR].frozen() as judge,
            self.precision.autocast(DISCRIMINATOR, self.device),
        ):
            with torch.no_grad():
                _, real_features = judge(real)
            fake_logits, fake_features = judge(decoded.wave)
        terms = {
            "adversarial": generator_loss(fake_logits),
            "feature_matching": feature_matching_loss(real_features, fake_features),
            "mel": mel_distance(self._loss_mel(decoded.wave), self._loss_mel(real)),
            "kl": kl_divergence(
                decoded.z_p, decoded.logs_q, decoded.m_p, decoded.logs_p, decoded.mask
            ),
        }
        weights = self.config.model.loss_weights
        loss = (
            terms["adversarial"]
            + weights.feature_matching * terms["feature_matching"]
            + weights.mel * terms["mel"]
            + weights.kl_at(step) * terms["kl"]
        )
        metrics = {f"{GENERATOR}/{name}": term.detach() for name, term in terms.items()}
        return Update(GENERATOR, loss, metrics)

    def validate(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return mel distances of whole clips: through codes, and through the posterior."""
        inputs, share = self._inputs(batch)
        reference = next_references(inputs.sequence)
        size = inputs.mel.shape[-1]
        mask = length_mask(inputs.lengths, size)
        model = self._network
        with torch.no_grad(), self.precision.autocast(GENERATOR, self.device):
            style = model.style(inputs.mel[reference], mask[reference])
            waves = {
                "mel_through_codes": model.infer(
                    inputs.codes, inputs.code_lengths, style, noise_scale=0.0
                ),
                "mel_through_posterior": model.reconstruct(inputs.magnitude, inputs.lengths, style),
            }
        target = self._loss_mel(inputs.wave)[..., :size]
        return {
            f"{GENERATOR}/{name}": share
            * mel_distance(self._loss_mel(wave)[..., :size], target, mask)
            for name, wave in waves.items()
        }


def _scaled(update: Update, share: float) -> Update:
    metrics = {name: share * value for name, value in update.metrics.items()}
    return Update(update.trainable, share * update.loss, metrics)
