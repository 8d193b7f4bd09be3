"""Audio inputs: from the codes of a step, or of a frame, to the vector of a model's input."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from gsv2.nn.codes import NO_CODE, CodeConfig, CodeVectors

AudioInputName = Literal["vq", "learned"]


class VectorInput(nn.Module):
    """A projection of the frozen quantizer's code vectors."""

    scale: Tensor

    def __init__(self, dim: int, codes: CodeConfig) -> None:
        super().__init__()
        self.vectors = CodeVectors(codes)
        self.project = nn.Linear(codes.dim, dim)
        self.register_buffer("scale", torch.ones(()))

    def set_codebooks(self, codebooks: Tensor) -> None:
        """Take the codebooks [K, V, dim / groups] of a quantizer, scaled to unit variance."""
        self.vectors.set_codebooks(codebooks)
        levels = self.vectors.config.levels
        variance = codebooks.var(dim=1).mean() * levels
        self.scale.copy_(variance.clamp(min=torch.finfo(variance.dtype).tiny).rsqrt())

    def forward(self, steps: Tensor) -> Tensor:
        """Return [B, S, D] for codes [B, K, S]."""
        return self.project(self.vectors(steps) * self.scale)


class LearnedInput(nn.Module):
    """Learned embeddings, summed over codebooks."""

    def __init__(self, dim: int, codes: CodeConfig) -> None:
        super().__init__()
        self.no_code = codes.codebook_size
        self.embeddings = nn.ModuleList(
            nn.Embedding(codes.codebook_size + 1, dim) for _ in range(codes.num_codebooks)
        )

    def set_codebooks(self, codebooks: Tensor) -> None:
        """Do nothing: the embeddings are learned."""

    def forward(self, steps: Tensor) -> Tensor:
        """Return [B, S, D] for codes [B, K, S]; the last id of each codebook is `no code`."""
        ids = steps.masked_fill(steps == NO_CODE, self.no_code).unbind(1)
        embedded = [embed(codes) for embed, codes in zip(self.embeddings, ids, strict=True)]
        return torch.stack(embedded).sum(dim=0)


def make_audio_input(
    name: AudioInputName, dim: int, codes: CodeConfig
) -> VectorInput | LearnedInput:
    """Return the audio input of that name, for a model of dimension `dim`."""
    return VectorInput(dim, codes) if name == "vq" else LearnedInput(dim, codes)
