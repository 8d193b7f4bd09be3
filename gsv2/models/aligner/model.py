"""Aligner: from frozen codes to characters, by connectionist temporal classification.

CTC: Graves et al. 2006; gated convolutions: arXiv 1612.08083. It never sees the text, so its
Viterbi path says which character is spoken at a frame and its reading judges codes that others
made. Where a text has more characters than the codes have frames, each frame counts as two.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gsv2.models.aligner.characters import Vocabulary
from gsv2.models.component import Component
from gsv2.models.trained_module import build_trained
from gsv2.nn.audio_input import VectorInput
from gsv2.nn.codes import CodeConfig
from gsv2.nn.gated_convolution import GatedConvolution
from gsv2.nn.masks import length_mask
from gsv2.nn.recompute import mark_recomputed, run_block

_HASH_LENGTH = 16


@dataclass(frozen=True, kw_only=True)
class AlignerConfig:
    """Size of the network; a frame sees `num_blocks * (kernel_size // 2)` frames to each side."""

    codes: CodeConfig = field(default_factory=CodeConfig)
    """Shape of the quantizer's codes; the stage fills it in."""
    vocabulary_size: int = 8192
    """Most characters that are told apart; rarer ones share a few classes."""
    dim: int = 160
    """Channels of the convolutions."""
    num_blocks: int = 4
    """Number of gated convolutions."""
    kernel_size: int = 5
    """Kernel size of the convolutions, in code frames; odd."""
    dropout: float = 0.1
    """Share of each block's output that training drops."""

    def __post_init__(self) -> None:
        """Check the values that no type can."""
        if self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, but is {self.kernel_size}")
        for name in ("dim", "num_blocks", "vocabulary_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, but is {getattr(self, name)}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be 0 to 1, but is {self.dropout}")


class AlignerOutput(NamedTuple):
    """Logits of what is heard at each frame, or half of one."""

    logits: Tensor
    """[B, T', classes], see `Vocabulary`; T' is T, or 2T if any clip is doubled."""
    lengths: Tensor
    """[B] int64: frames of each clip, or halves of them where it is doubled."""


class Aligner(nn.Module):
    """Codes [B, K, T] -> characters at each frame."""

    def __init__(self, config: AlignerConfig) -> None:
        super().__init__()
        self.config = config
        self.vocabulary = Vocabulary(config.vocabulary_size)
        self.audio_input = VectorInput(config.dim, config.codes)
        self.blocks = nn.ModuleList(
            GatedConvolution(config.dim, config.kernel_size, config.dropout)
            for _ in range(config.num_blocks)
        )
        self.norm = nn.LayerNorm(config.dim)
        self.halves = nn.Linear(config.dim, 2 * config.dim)
        self.head = nn.Linear(config.dim, self.vocabulary.num_classes)

    @staticmethod
    def from_component(component: Component) -> Aligner:
        """Return the trained aligner of a component file, in evaluation mode.

        Raises:
            ComponentError: the file's config or weights are damaged.
        """
        return build_trained(component, AlignerConfig, Aligner).eval()

    def fingerprint(self) -> str:
        """Return the hash of the weights, which identifies the alignments that they make."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(f"{name} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
        return digest.hexdigest()[:_HASH_LENGTH]

    def set_codebooks(self, codebooks: Tensor) -> None:
        """Take the codebooks [K, V, dim / groups] of the quantizer."""
        self.audio_input.set_codebooks(codebooks)

    def recompute_activations(self) -> None:
        """Keep no activations of the blocks: run them again in the backward pass."""
        mark_recomputed(self.blocks)

    def forward(self, codes: Tensor, lengths: Tensor, is_doubled: Tensor) -> AlignerOutput:
        """Say which characters are heard.

        Args:
            codes: [B, K, T] int64; what lies behind a clip's end is never seen.
            lengths: [B] int64, in code frames.
            is_doubled: [B] bool: clips whose frames count as two each.
        """
        B, _, T = codes.shape
        mask = length_mask(lengths, T)
        hidden = self.audio_input(codes.masked_fill(~mask.unsqueeze(1), -1))
        for block in self.blocks:
            hidden = run_block(block, hidden, mask)
        halves = hidden.unsqueeze(2) + self.halves(self.norm(hidden)).view(B, T, 2, -1)
        wholes = halves.mean(dim=2)  # [B, T, D]; both rates train all parameters
        if bool(is_doubled.any()):
            wholes = F.pad(wholes, (0, 0, 0, T))
            wholes = torch.where(is_doubled[:, None, None], halves.flatten(1, 2), wholes)
        return AlignerOutput(self.head(wholes), lengths * (1 + is_doubled.long()))

    def needs_halves(self, texts: Sequence[str], lengths: Tensor) -> Tensor:
        """Return which texts have too many characters for clips of `lengths` [B] frames: [B]."""
        return self.vocabulary.encode(texts).required.to(lengths.device) > lengths

    @torch.no_grad()
    def read(self, codes: Tensor, lengths: Tensor, is_doubled: Tensor | None = None) -> list[str]:
        """Return the likeliest text of each clip's codes, frame by frame (greedy CTC).

        Args:
            codes: [B, K, T] int64.
            lengths: [B] int64, in code frames.
            is_doubled: [B] bool, see `forward`; None for no clip.
        """
        if is_doubled is None:
            is_doubled = torch.zeros_like(lengths, dtype=torch.bool)
        return read_logits(self(codes, lengths, is_doubled), self.vocabulary)


def read_logits(output: AlignerOutput, vocabulary: Vocabulary) -> list[str]:
    """Return the text of the likeliest class of each frame; equal neighbours are one."""
    best = output.logits.argmax(dim=-1)
    clips = zip(best, output.lengths.tolist(), strict=True)
    return [vocabulary.decode(torch.unique_consecutive(x[:n]).tolist()) for x, n in clips]
