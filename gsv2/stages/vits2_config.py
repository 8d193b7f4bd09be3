"""The config of a run of the waveform stage."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from gsv2.audio.mel import MelConfig
from gsv2.data.schema import SAMPLE_RATE
from gsv2.models.discriminators import DiscriminatorConfig
from gsv2.models.vits2.model import VITS2Config
from gsv2.training.optim import OptimConfig
from gsv2.training.run import RunConfig

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

    def __post_init__(self) -> None:
        """Check the values that no type can."""
        for name in ("feature_matching", "mel", "kl"):
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
    """The spectrogram whose distance is minimised; its frames are those of `generator.mel`."""
    loss_weights: LossWeights = field(default_factory=LossWeights)
    segment_frames: int = 32
    """Frames of the segment that is decoded of each clip (32 = 20480 samples)."""
    self_reference_probability: float = 0.3
    """How often a clip is its own style reference, though its speaker has others here."""

    def __post_init__(self) -> None:
        """Check the values that no type can, and that the rates fit together."""
        if not self.quantizer:
            raise ValueError("model.quantizer must name a quantizer, but is empty")
        if not self.segment_frames >= 1:
            raise ValueError(
                f"model.segment_frames must be at least 1, but is {self.segment_frames}"
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


def gan_optim() -> dict[str, OptimConfig]:
    """Return the `optim` section of a GAN where a config names none."""
    gan = OptimConfig(
        lr=2e-4, betas=(0.8, 0.99), eps=1e-9, schedule="exponential", max_grad_norm=1000.0
    )
    return {GENERATOR: gan, DISCRIMINATOR: gan}


@dataclass(frozen=True, kw_only=True)
class VITS2RunConfig(RunConfig):
    """One run of the waveform stage."""

    model: VITS2ModelSection
    optim: dict[str, OptimConfig] = field(default_factory=gan_optim)
    """Of `generator` and `discriminator`."""
