"""Codebook patterns: the order in which the K codes of a frame are generated.

A pattern places code k of frame t at step `stride * t + offsets[k]` of the sequence; the end id
takes the place of the frame after the last in codebook 0. What one step then holds is predicted
at once, or, if the pattern is `ordered`, one codebook after the other:

- `depth` (RQ-Transformer, arXiv:2203.01941, section 3.2): one frame a step, its codes in order;
- `parallel`: one frame a step, its codes independent of each other;
- `delay` (MusicGen, arXiv:2306.05284, section 2.2): codebook k lags k steps;
- `flatten`: one code a step;
- `nar` (VALL-E, arXiv:2301.02111, section 4.2): one frame a step, of which codebook 0 alone is an
  input and is predicted; the others follow when the clip is over (`gsv2.models.gpt.refiner`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from gsv2.nn.codes import NO_CODE

PatternName = Literal["depth", "delay", "parallel", "flatten", "nar"]


@dataclass(frozen=True, kw_only=True)
class CodePattern:
    """Places of the codes of each frame in the sequence of steps."""

    stride: int
    """Steps from one frame to the next."""
    offsets: tuple[int, ...]
    """Step of each codebook's first code, ascending from 0; K of them."""
    ordered: bool
    """Whether a step's codes are predicted in order, each seeing those before it."""
    refined: bool = False
    """Whether codebooks after the first are predicted in passes over the whole clip."""

    @property
    def num_codebooks(self) -> int:
        """Number of codebooks, K."""
        return len(self.offsets)

    def num_steps(self, lengths: Tensor) -> Tensor:
        """Return how many steps hold the codes and the end of clips.

        Args:
            lengths: [C] frames of each clip; a clip of none is its end alone.

        Returns:
            [C] int64.
        """
        return torch.maximum(self.num_code_steps(lengths), self.stride * lengths + 1)

    def num_code_steps(self, lengths: Tensor) -> Tensor:
        """Return how many steps reach the last code of clips.

        Args:
            lengths: [C] frames of each clip.

        Returns:
            [C] int64.
        """
        last_code = self.stride * (lengths - 1) + self.offsets[-1]
        return torch.where(lengths > 0, last_code + 1, 0)

    def num_whole_frames(self, num_steps: int) -> int:
        """Return how many frames have all their codes after so many steps."""
        return max(0, (num_steps - 1 - self.offsets[-1]) // self.stride + 1)

    def frames_at(self, steps: Tensor) -> Tensor:
        """Return which frame each codebook is at.

        Args:
            steps: [S] int64.

        Returns:
            [K, S] int64, negative where the codebook has no code in that step.
        """
        distance = steps[None, :] - torch.tensor(self.offsets, device=steps.device)[:, None]
        frames = torch.div(distance, self.stride, rounding_mode="floor")
        return frames.masked_fill(distance % self.stride != 0, NO_CODE)

    def frames_of(self, step: int) -> list[int]:
        """Return which frame each of the K codebooks is at in one step, as `frames_at`."""
        distances = [step - offset for offset in self.offsets]
        return [d // self.stride if d % self.stride == 0 else NO_CODE for d in distances]

    def to_steps(self, codes: Tensor, lengths: Tensor, end: int) -> Tensor:
        """Lay codes out by step, with the end after the last frame.

        Args:
            codes: [C, K, T] int64.
            lengths: [C] valid frames of each clip.
            end: id of the end, placed on codebook 0.

        Returns:
            [C, K, S] int64, `NO_CODE` where a step has no code of that codebook.
        """
        C, K, T = codes.shape
        num_steps = int(self.num_steps(lengths).max()) if C else 0
        frames = self.frames_at(torch.arange(num_steps, device=codes.device))  # [K, S]
        index = frames.clamp(0, T).expand(C, K, num_steps)
        steps = F.pad(codes, (0, 1), value=NO_CODE).gather(2, index)
        limits = lengths[:, None, None]
        steps = steps.masked_fill((frames < 0) | (frames >= limits), NO_CODE)
        steps[:, 0].masked_fill_(frames[0] == lengths[:, None], end)
        return steps

    def to_codes(self, steps: Tensor, lengths: Tensor) -> Tensor:
        """Take codes back out of steps; the inverse of `to_steps`.

        Args:
            steps: [C, K, S] int64.
            lengths: [C] valid frames of each clip.

        Returns:
            [C, K, T] int64, padded with `NO_CODE`.
        """
        C, K, _ = steps.shape
        num_frames = int(lengths.max()) if C else 0
        frames = torch.arange(num_frames, device=steps.device)
        offsets = torch.tensor(self.offsets, device=steps.device)
        index = self.stride * frames[None, :] + offsets[:, None]  # [K, T]
        padding = max(self.stride * num_frames + self.offsets[-1] - steps.shape[2], 0)
        padded = F.pad(steps, (0, padding), value=NO_CODE)
        codes = padded.gather(2, index.expand(C, K, num_frames))
        return codes.masked_fill(frames >= lengths[:, None, None], NO_CODE)


def make_pattern(name: PatternName, num_codebooks: int) -> CodePattern:
    """Return the pattern of that name for K codebooks."""
    together = (0,) * num_codebooks
    apart = tuple(range(num_codebooks))
    patterns = {
        "depth": CodePattern(stride=1, offsets=together, ordered=True),
        "parallel": CodePattern(stride=1, offsets=together, ordered=False),
        "delay": CodePattern(stride=1, offsets=apart, ordered=False),
        "flatten": CodePattern(stride=num_codebooks, offsets=apart, ordered=False),
        "nar": CodePattern(stride=1, offsets=together, ordered=False, refined=num_codebooks > 1),
    }
    return patterns[name]
