"""Config of the GPT stage, and what its sections ask of each other."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal

import torch

from gsv2.data.config import DataConfig
from gsv2.models.gpt.interleave import NUM_STARTS
from gsv2.models.gpt.model import GPTConfig
from gsv2.models.gpt.patterns import make_pattern
from gsv2.stages.gpt_start import GPTInitConfig
from gsv2.stages.sections import CodesModelSection, fill_vectors
from gsv2.text.encoders.config import BGE_M3
from gsv2.training.config import RunConfig
from gsv2.training.optim import OptimConfig

GPT = "gpt"


@dataclass(frozen=True, kw_only=True)
class GPTModelSection(CodesModelSection):
    """The `model` section."""

    aligner: str | None = None
    """Run folder, checkpoint or file of the aligner that aligned the codes, which a pointer must
    have; codes that nobody aligned it aligns as they are read. It also judges
    `validation_sentences`, whatever the reading."""
    validation_sentences: int = 8
    """Held-out sentences that the model speaks freely at every validation, for the aligner to read:
    `validation/char_errors`, `char_errors_recorded`, `ended`, `leak`. 0, or no aligner = none."""
    gpt: GPTConfig = field(default_factory=GPTConfig)
    """Sizes and kinds of the network's parts."""
    codebook_weights: tuple[float, ...] = ()
    """Weight of each codebook in the loss; empty = all alike."""
    loss_clips: Literal["all", "last"] = "all"
    """Clips of a sequence whose codes are learnt: all, so that each is spoken with 0, 1, ...
    prompts, or the last alone, spoken with all others as its prompts."""
    freeze: tuple[str, ...] = ()
    """Modules, or single parameters, of the GPT that do not train, such as `backbone.layers.0`."""
    advance_weight: float = 0.5
    """Weight in the loss of how far the pointer moves on, in nats a frame beside those of codes."""

    def __post_init__(self) -> None:
        """Check what no type can."""
        super().__post_init__()
        if not 0 < self.advance_weight < math.inf:
            raise ValueError(f"model.advance_weight must be above 0, but is {self.advance_weight}")
        if self.gpt.reading != "attention" and self.aligner is None:
            raise ValueError(
                "model.aligner must name the aligner of the codes for model.gpt.reading=pointer "
                f"and both, but is {self.aligner} for {self.gpt.reading}"
            )
        if self.gpt.text_encoder != "bytes" and self.gpt.reading != "attention":
            raise ValueError(
                "model.gpt.reading must be attention where model.gpt.text_encoder is not bytes, "
                f"since a pointer points at characters, but is {self.gpt.reading}"
            )
        if self.validation_sentences < 0:
            raise ValueError(
                f"model.validation_sentences must be at least 0, but is {self.validation_sentences}"
            )


@dataclass(frozen=True, kw_only=True)
class GPTRunConfig(RunConfig):
    """A run of the GPT stage."""

    model: GPTModelSection
    """The GPT, its loss and the quantizer whose codes it reads."""
    init: GPTInitConfig = field(default_factory=GPTInitConfig)
    """What a fresh run of the GPT starts from."""
    optim: dict[str, OptimConfig] = field(default_factory=lambda: {GPT: OptimConfig()})
    """Optimizer and schedule of `gpt`."""


def gpt_members(members: tuple[str, ...], model: GPTModelSection) -> tuple[str, ...]:
    """Return what a GPT reads beside `members`, which are those of reading bytes by attention."""
    if model.gpt.text_encoder == BGE_M3:
        return (*members, "text_vectors")
    return members if model.gpt.reading == "attention" else (*members, "align")


def fill_text_vectors(gpt: GPTConfig, data: DataConfig) -> GPTConfig:
    """Return the config of a network with the text encoder of the corpora that it reads.

    Raises:
        ValueError: no source has text vectors, or they are of another encoder than the config's.
    """
    if gpt.text_encoder != BGE_M3:
        return gpt
    filled = fill_vectors(
        gpt.text_encoder, gpt.text_vectors, data, "model.gpt.text_encoder", "model.gpt.text_vectors"
    )
    return replace(gpt, text_vectors=filled)


def codebook_weights(model: GPTModelSection, num_codebooks: int) -> tuple[float, ...]:
    """Return the weight of each codebook in the loss.

    Raises:
        ValueError: another number of them, or one that is not positive.
    """
    weights = model.codebook_weights or (1.0,) * num_codebooks
    if len(weights) != num_codebooks or min(weights) <= 0:
        raise ValueError(
            f"model.codebook_weights must be {num_codebooks} positive numbers (the quantizer's "
            f"codebooks), but is {list(weights)}"
        )
    return weights


def check_token_count(data: DataConfig, gpt: GPTConfig) -> None:
    """Check that no clip has more tokens than the plan counts for it.

    It counts text bytes * tokens_per_text_byte + frames * steps_per_frame + clip_overhead_tokens;
    the layout (`gsv2.models.gpt.interleave`) has text bytes, unless the pointer alone reads them,
    + `NUM_STARTS` + the pattern's steps of codes.
    Under `max_frames` it counts no tokens.

    Raises:
        ValueError: names the key and the least that it must be.
    """
    if data.max_tokens is None:
        return
    if gpt.reading != "pointer" and data.tokens_per_text_byte < 1:
        raise ValueError(
            f"data.tokens_per_text_byte must be 1 for model.gpt.reading={gpt.reading}, whose "
            f"sequences hold the text, but is {data.tokens_per_text_byte}"
        )
    K = gpt.codes.num_codebooks
    pattern = make_pattern(gpt.pattern, K)
    steps = max(data.steps_per_frame, pattern.stride)
    overhead = NUM_STARTS + max(int(pattern.num_code_steps(torch.tensor(1))) - steps, 0)
    if data.steps_per_frame < steps:
        raise ValueError(
            f"data.steps_per_frame must be at least {steps} for model.gpt.pattern={gpt.pattern} "
            f"of {K} codebooks, but is {data.steps_per_frame}; data.clip_overhead_tokens must "
            f"then be at least {overhead}, and is {data.clip_overhead_tokens}"
        )
    if data.clip_overhead_tokens < overhead:
        raise ValueError(
            f"data.clip_overhead_tokens must be at least {overhead} for model.gpt.pattern="
            f"{gpt.pattern} of {K} codebooks and data.steps_per_frame={steps}, but is "
            f"{data.clip_overhead_tokens}"
        )
