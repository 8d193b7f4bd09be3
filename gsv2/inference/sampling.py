"""Sampling: how one code is drawn from the GPT's logits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from gsv2.nn.codes import NO_CODE

PromptFusionName = Literal["auto", "concatenate", "average"]
_AT_LEAST_ZERO = (
    "temperature",
    "top_k",
    "repetition_window",
    "repetition_threshold",
    "min_sec_per_byte",
    "max_sec_per_byte",
    "max_extra_sec",
    "duration_temperature",
    "max_character_sec",
)
"""Fields that are finite and not negative."""


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How codes are drawn, and how long an utterance may be."""

    temperature: float = 0.5
    """Divisor of the logits; 0 = always the likeliest code. Small models are understood better
    when they are colder: character errors .11 at 0.8 and .08 at 0.5 on the demo corpus."""
    top_k: int = 50
    """Draw from the k likeliest codes only; 0 = from all."""
    top_p: float = 0.95
    """Draw from the likeliest codes that together have this probability."""
    repetition_window: int = 10
    """Repetition-aware sampling (VALL-E 2, arXiv:2406.05370, section 3): frames looked back at;
    0 = off."""
    repetition_threshold: float = 0.3
    """A code that makes up more than this share of the window is drawn again, from all codes."""
    min_sec_per_byte: float = 0.01
    """No end before the text's UTF-8 bytes times this."""
    max_sec_per_byte: float = 0.25
    """The end is forced at the bytes times this, plus `max_extra_sec`."""
    max_extra_sec: float = 1.5
    """Seconds that any text may take beside `max_sec_per_byte`."""
    speaking_rate: float = 1.0
    """Factor on the speed of speech, where a pointer reads: a text takes its frames at rate 1
    divided by it, at least one for two characters. Other rates than 1 take twice the time."""
    duration_temperature: float = 0.5
    """How much the durations of characters vary, where a pointer reads: 1 = as the model says,
    0 = their medians."""
    max_character_sec: float = 1.0
    """The pointer moves on from a character after this time."""
    candidates: int = 8
    """Utterances that are drawn of each sentence where a bundle has an aligner, which picks the one
    that it reads best; 1 = no choice. `generate` itself draws one."""
    retries: int = 2
    """Times that a sentence is drawn again, from other random numbers, of which no candidate has
    ended by itself; sound that was heard already is not."""
    prompt_fusion: PromptFusionName = "auto"
    """How several prompts are heard: one after the other, as clips of one speaker are trained on,
    or each alone, what the GPT predicts after each being averaged by weight. `auto`: averaged
    where voice files are of several speakers, else one after the other."""
    seed: int = 0
    """The codes of item i of a call depend on (seed, i) and on nothing else in the call."""

    def __post_init__(self) -> None:
        """Check ranges."""
        for name in _AT_LEAST_ZERO:
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} must be at least 0, but is {value}")
        if not 0 < self.speaking_rate < math.inf:
            raise ValueError(f"speaking_rate must be above 0, but is {self.speaking_rate}")
        for name, least in (("candidates", 1), ("retries", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, but is {getattr(self, name)}")
        if self.prompt_fusion not in get_args(PromptFusionName):
            raise ValueError(
                f"prompt_fusion must be auto, concatenate or average, but is {self.prompt_fusion!r}"
            )
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be above 0 and at most 1, but is {self.top_p}")

    def frame_bounds(self, num_bytes: Tensor, rate_hz: float) -> tuple[Tensor, Tensor]:
        """Return the least and the most frames, [B] int64 each, for texts of [B] bytes."""
        least = num_bytes.double() * self.min_sec_per_byte * rate_hz
        most = (num_bytes.double() * self.max_sec_per_byte + self.max_extra_sec) * rate_hz
        return least.round().long(), most.round().long()


class Sampler:
    """Draws codes for B items, each from its own stream of random numbers.

    Args:
        streams: number of the stream of each item.
    """

    def __init__(self, config: SamplingConfig, streams: Sequence[int]) -> None:
        self.config = config
        self.generators = make_generators(config.seed, streams)

    def draw(self, logits: Tensor, history: Sequence[Tensor]) -> Tensor:
        """Draw one code for each item.

        Args:
            logits: [B, V]; -inf forbids a code.
            history: earlier codes of the same codebook, oldest first, [B] int64 each.

        Returns:
            [B] int64.
        """
        if self.config.temperature == 0:
            return logits.argmax(dim=1)
        logits = logits.float() / self.config.temperature
        drawn = self._draw(keep_likeliest(logits, self.config.top_k, self.config.top_p))
        if self.config.repetition_window == 0:
            return drawn
        anything = self._draw(logits)
        return torch.where(self._repeats(drawn, history), anything, drawn)

    def _draw(self, logits: Tensor) -> Tensor:
        """Draw from softmax(logits): the first of independent exponential clocks to ring."""
        noise = torch.empty(len(self.generators), logits.shape[1])
        for row, generator in zip(noise, self.generators, strict=True):
            row.exponential_(generator=generator)
        return (logits.softmax(dim=1) / noise.to(logits.device)).argmax(dim=1)

    def _repeats(self, drawn: Tensor, history: Sequence[Tensor]) -> Tensor:
        """Tell for each item whether `drawn` [B] is too frequent in the window."""
        window = history[-self.config.repetition_window :]
        if not window:
            return torch.zeros_like(drawn, dtype=torch.bool)
        recent = torch.stack(list(window), dim=1)  # [B, W]
        same = (recent == drawn[:, None]) & (recent != NO_CODE)
        share = same.sum(dim=1) / self.config.repetition_window
        return share > self.config.repetition_threshold


def keep_likeliest(logits: Tensor, top_k: int, top_p: float) -> Tensor:
    """Forbid all but the likeliest codes; the likeliest itself always stays.

    Args:
        logits: [B, V].
        top_k: how many stay at most; 0 = all.
        top_p: the fewest codes stay whose probabilities (after `top_k`) reach this sum.

    Returns:
        [B, V] with -inf for forbidden codes.
    """
    ranked, order = logits.sort(dim=1, descending=True, stable=True)
    if 0 < top_k < logits.shape[1]:
        ranked[:, top_k:] = -torch.inf
    probabilities = ranked.softmax(dim=1)
    likelier = probabilities.cumsum(dim=1) - probabilities
    ranked = ranked.masked_fill((likelier >= top_p) & (likelier > 0), -torch.inf)
    return torch.empty_like(logits).scatter(1, order, ranked)


def make_generators(seed: int, streams: Sequence[int]) -> list[torch.Generator]:
    """Return streams of random numbers by their numbers, each the same in any company."""
    return [torch.Generator().manual_seed(_stream_seed(seed, number)) for number in streams]


def _stream_seed(seed: int, number: int) -> int:
    """Return a seed of 63 bits; the multipliers are those of SplitMix64, to part neighbours."""
    mixed = (seed * 0x9E3779B97F4A7C15 + number * 0xBF58476D1CE4E5B9) % 2**64
    return (mixed ^ (mixed >> 31)) % 2**63
