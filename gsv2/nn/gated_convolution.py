"""Gated convolution: a residual block with a gated linear unit (arXiv:1612.08083)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class GatedConvolution(nn.Module):
    """A residual block: layer norm, convolution, gated linear unit."""

    def __init__(self, dim: int, kernel_size: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.convolution = nn.Conv1d(dim, 2 * dim, kernel_size, padding=kernel_size // 2)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return [B, T, D] for hidden [B, T, D] and mask [B, T]; padding is never seen."""
        masked = (self.norm(hidden) * mask.unsqueeze(-1)).transpose(1, 2)  # [B, D, T]
        gated = F.glu(self.convolution(masked), dim=1).transpose(1, 2)
        return hidden + self.dropout(gated)
