"""Weights of the losses of the waveform stage, and how they change with the step."""

from __future__ import annotations

import math
from dataclasses import dataclass

_KL_START = 1e-3
"""Share of its weight that kl starts with when it is warmed up."""

_WEIGHTS = (
    "adversarial",
    "feature_matching",
    "mel",
    "stft",
    "pitch",
    "duration",
    "duration_adversarial",
    "kl",
)
"""Fields that are weights of a loss of that name."""


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
    duration: float = 1.0
    """Weight of the durations' loss, where the prior reads text."""
    duration_adversarial: float = 1.0
    """Weight of what the duration discriminator says, where there is one."""
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
        for name in _WEIGHTS:
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

    def at(self, step: int, total_steps: float) -> dict[str, float]:
        """Return loss -> weight at a step, from 1, of a run of `total_steps`."""
        weights = {name: getattr(self, name) for name in _WEIGHTS}
        return {**weights, "kl": self.kl_at(step, total_steps)}

    def kl_at(self, step: int, total_steps: float = 0) -> float:
        """Return the weight of kl at a step, from 1, of a run of `total_steps`."""
        share = self.kl_warmup_fraction
        warmup = share * total_steps if share else self.kl_warmup_steps
        return self.kl if step >= warmup else self.kl * _KL_START ** (1 - step / warmup)
