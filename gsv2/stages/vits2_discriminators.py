"""Config section of the discriminators: the networks, and in which steps they train."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from gsv2.losses.adversarial import AdversarialKind
from gsv2.models.vits2.discriminators import DiscriminatorConfig


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

    loss: AdversarialKind = "least_squares"
    """Loss of discriminators and generator: `least_squares` as in HiFi-GAN, or `hinge`."""
    r1: float = 0.0
    """Weight of R1, the squared slope of the discriminators at recordings, which keeps them from
    running ahead; 0 = off. It differentiates twice, which a compiled network cannot."""
    r1_every_n_steps: int = 16
    """R1 counts in every n-th step from the first one with the discriminators, n times as much."""

    def __post_init__(self) -> None:
        """Check the values that no type can."""
        super().__post_init__()
        for name, least in (("start_step", 0), ("every_n_steps", 1), ("r1_every_n_steps", 1)):
            if getattr(self, name) < least:
                raise ValueError(
                    f"model.discriminator.{name} must be at least {least}, "
                    f"but is {getattr(self, name)}"
                )

        if not 0 <= self.r1 < math.inf:
            raise ValueError(f"model.discriminator.r1 must be 0 or above, but is {self.r1}")
        if self.r1 and self.r1_every_n_steps % self.every_n_steps:
            raise ValueError(
                "model.discriminator.r1_every_n_steps must be a multiple of every_n_steps "
                f"({self.every_n_steps}), but is {self.r1_every_n_steps}"
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

    def r1_at(self, step: int, total_steps: float = math.inf) -> float:
        """Return the weight of R1 in a step, from 1; 0 where it does not count."""
        first = self.first_step(total_steps)
        if not self.r1 or first is None or step < first:
            return 0.0
        counted_from = 0 if self.start_fraction else first
        is_due = (step - counted_from) % self.r1_every_n_steps == 0
        return self.r1 * self.r1_every_n_steps if is_due else 0.0
