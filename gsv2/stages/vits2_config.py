"""Config of a run of the waveform stage."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace

from gsv2.audio.mel import MelConfig
from gsv2.audio.multi_resolution import ResolutionsConfig
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.models.quantizer.model import QuantizerConfig
from gsv2.models.vits2.code_features import CodeFeaturesConfig
from gsv2.models.vits2.config import VITS2Config
from gsv2.models.vits2.discriminators import DiscriminatorConfig
from gsv2.stages.sections import CodesModelSection
from gsv2.training.config import RunConfig
from gsv2.training.optim import OptimConfig

GENERATOR = "generator"
DISCRIMINATOR = "discriminator"
_KL_START = 1e-3
"""Share of its weight that kl starts with when it is warmed up."""


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """Weights of the generator's losses."""

    adversarial: float = 1.0
    """Weight of what the discriminators say."""
    feature_matching: float = 2.0
    """Weight of the feature matching loss."""
    mel: float = 45.0
    """Weight of the mel distance."""
    stft: float = 0.0
    """Weight of the multi-resolution STFT loss; 0 = it is not computed."""
    pitch: float = 10.0
    """Weight of the pitch loss, where the generator has a harmonic source."""
    kl: float = 1.0
    """Weight of the divergence between posterior and prior."""
    kl_warmup_steps: int = 0
    """Steps in which the weight of kl rises to its value, geometrically from a thousandth of it.
    A short training needs them: else the prior pulls the latent to nothing before the decoder
    has learnt to heed it."""
    kl_warmup_fraction: float = 0.0
    """The same as a share of the run, by steps or by time, in place of `kl_warmup_steps`."""

    def __post_init__(self) -> None:
        """Check the values that no type can."""
        for name in ("adversarial", "feature_matching", "mel", "stft", "pitch", "kl"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(
                    f"model.loss_weights.{name} must be 0 or a number above 0, "
                    f"but is {getattr(self, name)}"
                )
        if not self.kl_warmup_steps >= 0:
            raise ValueError(
                "model.loss_weights.kl_warmup_steps must be at least 0, "
                f"but is {self.kl_warmup_steps}"
            )
        if not 0 <= self.kl_warmup_fraction <= 1:
            raise ValueError(
                "model.loss_weights.kl_warmup_fraction must lie in 0..1, "
                f"but is {self.kl_warmup_fraction}"
            )
        if self.kl_warmup_fraction and self.kl_warmup_steps:
            raise ValueError(
                "model.loss_weights.kl_warmup_fraction must be 0 where kl_warmup_steps "
                f"({self.kl_warmup_steps}) is set, but is {self.kl_warmup_fraction}"
            )

    def kl_at(self, step: int, total_steps: float = 0) -> float:
        """Return the weight of kl at a step, from 1, of a run of `total_steps`."""
        share = self.kl_warmup_fraction
        warmup = share * total_steps if share else self.kl_warmup_steps
        return self.kl if step >= warmup else self.kl * _KL_START ** (1 - step / warmup)


def stft_resolutions() -> ResolutionsConfig:
    """Return the resolutions of Parallel WaveGAN (arXiv 1910.11480, table 1), and a longer one."""
    return ResolutionsConfig(
        n_fft=(512, 1024, 2048, 4096),
        hop_length=(50, 120, 240, 480),
        win_length=(240, 600, 1200, 2400),
    )


@dataclass(frozen=True, kw_only=True)
class DiscriminatorSection(DiscriminatorConfig):
    """The discriminators, and when they train."""

    start_step: int = 0
    """First step in which they are asked and trained: before it the generator learns from mel,
    STFT and kl alone. 0 or 1 = from the beginning, above `trainer.max_steps` = never. Their own
    learning rate begins its schedule in this step."""
    start_fraction: float = 0.0
    """The same as a share of the run, by steps or by time, in place of `start_step`; 1 = never. In
    a run by time the first step has them too, so that it needs all the memory that the run will."""
    every_n_steps: int = 1
    """Discriminators train in every n-th step from then on; the generator is judged in each."""

    def __post_init__(self) -> None:
        """Check the values that no type can."""
        super().__post_init__()
        for name, least in (("start_step", 0), ("every_n_steps", 1)):
            if getattr(self, name) < least:
                raise ValueError(
                    f"model.discriminator.{name} must be at least {least}, "
                    f"but is {getattr(self, name)}"
                )

        if not 0 <= self.start_fraction <= 1:
            raise ValueError(
                f"model.discriminator.start_fraction must lie in 0..1, but is {self.start_fraction}"
            )
        if self.start_fraction and self.start_step:
            raise ValueError(
                "model.discriminator.start_fraction must be 0 where start_step "
                f"({self.start_step}) is set, but is {self.start_fraction}"
            )

    def network(self) -> DiscriminatorConfig:
        """Return the part that the networks are made from."""
        names = [field.name for field in fields(DiscriminatorConfig)]
        return DiscriminatorConfig(**{name: getattr(self, name) for name in names})

    def first_step(self, total_steps: float) -> int | None:
        """Return the first step with them, from 1; None = no step of a run of `total_steps`.

        Args:
            total_steps: steps of the whole run, infinite as long as nobody can tell.
        """
        if not self.start_fraction or math.isinf(total_steps):
            first = max(1, self.start_step)
        elif self.start_fraction == 1:
            return None
        else:
            first = max(1, math.ceil(self.start_fraction * total_steps))
        return first if first <= total_steps else None

    def judges_at(self, step: int, total_steps: float = math.inf) -> bool:
        """Tell whether the generator is judged in a step, from 1, of a run of `total_steps`."""
        first = self.first_step(total_steps)
        return first is not None and step >= first

    def trains_at(self, step: int, total_steps: float = math.inf) -> bool:
        """Tell whether the discriminators are trained in a step, from 1."""
        first = self.first_step(total_steps)
        if first is None or step < first:
            return False
        counted_from = 0 if self.start_fraction else first  # a share moves with the speed
        return (step - counted_from) % self.every_n_steps == 0


@dataclass(frozen=True, kw_only=True)
class VITS2ModelSection(CodesModelSection):
    """The `model` section."""

    generator: VITS2Config = field(default_factory=VITS2Config)
    """The waveform model."""
    discriminator: DiscriminatorSection = field(default_factory=DiscriminatorSection)
    """The discriminators, and when they train."""
    mel_loss: MelConfig = field(default_factory=MelConfig)
    """Spectrogram whose distance is minimised; its frames are those of `generator.mel`."""
    stft_loss: ResolutionsConfig = field(default_factory=stft_resolutions)
    """Resolutions of the multi-resolution STFT loss."""
    loss_weights: LossWeights = field(default_factory=LossWeights)
    """Weights of the generator's losses."""
    segment_frames: int = 32
    """Frames of the segment that is decoded of each clip (32 = 20480 samples)."""
    self_reference_probability: float = 0.3
    """Probability that a clip is its own style reference, though its speaker has others here."""

    def __post_init__(self) -> None:
        """Check the values that no type can, and that the rates fit together."""
        super().__post_init__()
        if not self.segment_frames >= 1:
            raise ValueError(
                f"model.segment_frames must be at least 1, but is {self.segment_frames}"
            )
        if self.loss_weights.stft and not len(self.stft_loss):
            raise ValueError(
                "model.stft_loss must have a resolution where loss_weights.stft is above 0, "
                "but has none"
            )
        if not 0 <= self.self_reference_probability <= 1:
            raise ValueError(
                "model.self_reference_probability must lie in 0..1, "
                f"but is {self.self_reference_probability}"
            )
        mel = self.generator.mel
        if mel.sample_rate != SAMPLE_RATE:
            raise ValueError(
                f"model.generator.mel.sample_rate must be that of corpora ({SAMPLE_RATE}), "
                f"but is {mel.sample_rate}"
            )
        for name in ("sample_rate", "hop_length"):  # clips are compared frame by frame
            if getattr(self.mel_loss, name) != getattr(mel, name):
                raise ValueError(
                    f"model.mel_loss.{name} must be model.generator.mel.{name} "
                    f"({getattr(mel, name)}), but is {getattr(self.mel_loss, name)}"
                )


def fill_code_features(generator: VITS2Config, quantizer: QuantizerConfig) -> VITS2Config:
    """Return the waveform model's config with the sizes of the quantizer's decoder, if it reads it.

    Raises:
        ValueError: a config names sizes itself, or its frames are not those of the decoder.
    """
    if generator.code_features != CodeFeaturesConfig():
        raise ValueError(
            "model.generator.code_features must be left out, since it is that of the quantizer, "
            f"but is {generator.code_features}"
        )
    if generator.content_input == "vectors":
        return generator
    if generator.frames_per_code != quantizer.stride:
        raise ValueError(
            f"model.generator.content_input=features needs {quantizer.stride} frames a code frame, "
            f"as the quantizer's decoder makes, but model.generator.mel has "
            f"{generator.frames_per_code}"
        )
    features = CodeFeaturesConfig(
        num_features=quantizer.speech_encoder.dim,
        width=quantizer.width,
        num_blocks=quantizer.num_blocks,
        kernel_size=quantizer.kernel_size,
    )
    return replace(generator, code_features=features)


def gan_optim() -> dict[str, OptimConfig]:
    """Return the `optim` section of a GAN where a config names none."""
    gan = OptimConfig(
        lr=2e-4, betas=(0.8, 0.99), eps=1e-9, schedule="exponential", max_grad_norm=1000.0
    )
    return {GENERATOR: gan, DISCRIMINATOR: gan}


@dataclass(frozen=True, kw_only=True)
class VITS2RunConfig(RunConfig):
    """A run of the waveform stage."""

    model: VITS2ModelSection
    """The waveform model, its discriminators and its losses."""
    optim: dict[str, OptimConfig] = field(default_factory=gan_optim)
    """Optimizers and schedules of `generator` and `discriminator`."""
