"""Style encoder: the voice of a reference as one vector.

A mel-style encoder in the manner of Meta-StyleSpeech (arXiv 2106.03153, section 3.1): spectral
layers, gated convolutions over time, self-attention, mean over time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from gsv2.nn.attention import SelfAttention, rotary_table

_INPUT_MEAN, _INPUT_STD = -5.5, 3.0
"""Mean and standard deviation of log-mels of speech at the corpus' loudness, rounded."""


@dataclass(frozen=True, kw_only=True)
class StyleConfig:
    """The style encoder."""

    dim: int = 512
    """Dimension of the style vector."""
    channels: int = 128
    """Channels of all layers but the last."""
    num_gated_layers: int = 2
    """Number of gated convolutions."""
    kernel_size: int = 5
    """Kernel size of the gated convolutions, in frames; odd."""
    num_heads: int = 2
    """Number of heads of the self-attention."""
    dropout: float = 0.1
    """Probability of dropping a value, and an attention weight."""

    def __post_init__(self) -> None:
        """Check what keeps the length."""
        if self.kernel_size % 2 == 0:
            raise ValueError(f"style: kernel_size must be odd, but is {self.kernel_size}")


class StyleEncoder(nn.Module):
    """Mel spectrogram -> style vector."""

    def __init__(self, num_mels: int, config: StyleConfig) -> None:
        super().__init__()
        C, kernel = config.channels, config.kernel_size
        self.spectral = nn.Sequential(
            nn.Linear(num_mels, C),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(C, C),
            nn.GELU(),
            nn.Dropout(config.dropout),
        )
        self.gates = nn.ModuleList(
            nn.Conv1d(C, 2 * C, kernel, padding=kernel // 2) for _ in range(config.num_gated_layers)
        )
        self.norm = nn.LayerNorm(C)
        self.attention = SelfAttention(C, config.num_heads, config.dropout)
        self.output = nn.Linear(C, config.dim)
        for layer in self.modules():
            if isinstance(layer, nn.Conv1d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")

    def forward(self, mel: Tensor, mask: Tensor) -> Tensor:
        """Return the style of each reference.

        Args:
            mel: [B, num_mels, T] log-mel.
            mask: [B, T]; at least one valid frame each.

        Returns:
            [B, dim].
        """
        valid = mask.unsqueeze(-1)  # [B, T, 1]
        x = self.spectral((mel.transpose(1, 2) - _INPUT_MEAN) / _INPUT_STD) * valid
        for gate in self.gates:
            signal = functional.glu(gate(x.transpose(1, 2)), dim=1)
            x = (x + signal.transpose(1, 2)) * valid
        rotary = rotary_table(x.shape[1], self.attention.head_dim, x.device)
        x = x + self.attention(self.norm(x), mask, rotary)
        mean = (x * valid).sum(dim=1) / valid.sum(dim=1)
        return self.output(mean)


def fuse_styles(styles: Tensor, weights: Sequence[float] | None = None) -> Tensor:
    """Return the weighted mean of several references' styles.

    Args:
        styles: [R, dim].
        weights: one non-negative weight a reference, of positive sum; None = equal.

    Returns:
        [1, dim].

    Raises:
        ValueError: wrong number or sign of weights.
    """
    if weights is None:
        return styles.mean(dim=0, keepdim=True)
    if len(weights) != len(styles):
        raise ValueError(
            f"there must be one weight a reference ({len(styles)}), but there are {len(weights)}"
        )
    if min(weights) < 0 or sum(weights) <= 0:
        raise ValueError(
            "weights of references must be non-negative with a positive sum, "
            f"but are {list(weights)}"
        )
    shares = torch.tensor(weights, dtype=styles.dtype, device=styles.device)
    return (shares / shares.sum()) @ styles.unsqueeze(0)
