"""Codes: their shape, and the vectors that the frozen quantizer gives them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

NO_CODE = -1
"""Id where a step has no code of a codebook, and where codes are padded."""


@dataclass(frozen=True, kw_only=True)
class CodeConfig:
    """Shape of the codes: K = groups * levels codebooks, group-major."""

    groups: int = 1
    """Number of groups of feature dimensions, which are quantized apart."""
    levels: int = 2
    """Number of residual levels of each group."""
    codebook_size: int = 1024
    """Number of entries of each codebook, V; also the id of `end` in the GPT."""
    dim: int = 256
    """Dimension of the code vector of a frame, over all groups."""
    rate_hz: float = 25.0
    """Code frames a second."""

    def __post_init__(self) -> None:
        """Check the split into groups."""
        if self.dim % self.groups:
            raise ValueError(f"groups must divide dim ({self.dim}), but is {self.groups}")

    @property
    def num_codebooks(self) -> int:
        """Number of codebooks, K."""
        return self.groups * self.levels


class CodeVectors(nn.Module):
    """Lookup of code vectors: levels are summed, groups are concatenated.

    Equal to `GroupedResidualVQ.get_output_from_indices`; a buffer, so it never trains.
    """

    codebooks: Tensor

    def __init__(self, config: CodeConfig) -> None:
        super().__init__()
        self.config = config
        shape = (config.num_codebooks, config.codebook_size, config.dim // config.groups)
        self.register_buffer("codebooks", torch.zeros(shape))

    def set_codebooks(self, codebooks: Tensor) -> None:
        """Take the codebooks of a quantizer.

        Args:
            codebooks: [K, V, dim / groups].
        """
        if codebooks.shape != self.codebooks.shape:
            raise ValueError(
                f"codebooks must have shape {tuple(self.codebooks.shape)}, "
                f"but have {tuple(codebooks.shape)}"
            )
        self.codebooks.copy_(codebooks)

    def forward(self, codes: Tensor) -> Tensor:
        """Return the vector of each frame.

        Args:
            codes: [B, K, T] int64; negative ids (padding) give zero vectors.

        Returns:
            [B, T, dim].
        """
        B, K, T = codes.shape
        book = torch.arange(K, device=codes.device)[None, :, None]
        vectors = self.codebooks[book, codes.clamp(min=0)]  # [B, K, T, dim / groups]
        vectors = vectors * (codes >= 0).unsqueeze(-1)
        groups, levels = self.config.groups, self.config.levels
        summed = vectors.view(B, groups, levels, T, self.config.dim // groups).sum(dim=2)
        return summed.permute(0, 2, 1, 3).reshape(B, T, self.config.dim)
