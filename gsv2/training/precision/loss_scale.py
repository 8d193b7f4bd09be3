"""Dynamic loss scaling for fp16 (mixed precision training, arXiv 1710.03740, section 3.2).

Gradients below 6e-8 are 0 in fp16. Engines multiply the loss before its backward pass and divide
the gradients after it, in fp32; where these overflow, the factor was too large.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_SCALE = 2.0**24
"""More than this gains nothing: it brings the smallest gradients of fp32 losses into range."""


@dataclass(kw_only=True)
class LossScale:
    """The factor of one trainable; equal on all ranks, because all take the same updates."""

    value: float = 2.0**16
    growth_steps: int = 1000
    """Updates taken in a row after which the factor doubles."""
    taken: int = 0
    """Updates taken in a row, since the last change."""

    def update(self, is_taken: bool) -> bool:
        """Learn whether an update was finite.

        Returns:
            Whether an update left out is the scale's own doing: at 1, it is not.
        """
        if is_taken:
            self.taken += 1
            if self.taken >= self.growth_steps:
                self.value = min(MAX_SCALE, self.value * 2.0)
                self.taken = 0
            return False
        was_scaled = self.value > 1.0
        self.value = max(1.0, self.value / 2.0)
        self.taken = 0
        return was_scaled
