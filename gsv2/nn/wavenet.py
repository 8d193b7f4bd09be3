"""WaveNet, non-causal: gated dilated convolutions with residual and skip paths.

As in WaveGlow (arXiv 1811.00002) and VITS (arXiv 2106.06103).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm


@dataclass(frozen=True, kw_only=True)
class WaveNetConfig:
    """A stack of gated convolutions."""

    channels: int = 192
    """Channels of the residual and of the skip path."""
    num_layers: int = 16
    """Number of gated convolutions."""
    kernel_size: int = 5
    """Kernel size of the gated convolutions, in frames; odd."""
    dilation_rate: int = 1
    """Layer i has dilation `dilation_rate ** i`."""

    def __post_init__(self) -> None:
        """Check that the length is kept."""
        if self.kernel_size % 2 == 0:
            raise ValueError(f"wavenet: kernel_size must be odd, but is {self.kernel_size}")


class WaveNet(nn.Module):
    """Sum of the skip paths, conditioned on a style at every layer."""

    def __init__(self, config: WaveNetConfig, style_dim: int) -> None:
        super().__init__()
        self.config = config
        C, layers = config.channels, config.num_layers
        self.style = weight_norm(nn.Linear(style_dim, 2 * C * layers))
        self.gates = nn.ModuleList()
        self.outs = nn.ModuleList()
        for index in range(layers):
            dilation = config.dilation_rate**index
            padding = dilation * (config.kernel_size // 2)
            gate = nn.Conv1d(C, 2 * C, config.kernel_size, dilation=dilation, padding=padding)
            is_last = index == layers - 1  # the last layer has no next one, only a skip path
            out = nn.Conv1d(C, C if is_last else 2 * C, 1)
            for layer in (gate, out):  # PyTorch's default would shrink the signal layer by layer
                nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
            self.gates.append(weight_norm(gate))
            self.outs.append(weight_norm(out))

    def forward(self, x: Tensor, mask: Tensor, style: Tensor) -> Tensor:
        """Run the stack.

        Args:
            x: [B, C, T], 0 at padding.
            mask: [B, T].
            style: [B, style_dim].

        Returns:
            [B, C, T]; at padding, 0.
        """
        C = self.config.channels
        valid = mask.unsqueeze(1)
        biases = self.style(style).unsqueeze(-1).chunk(self.config.num_layers, dim=1)
        skips = torch.zeros_like(x)
        for gate, out, bias in zip(self.gates, self.outs, biases, strict=True):
            signal, opening = (gate(x) + bias).chunk(2, dim=1)
            *residual, skip = out(signal.tanh() * opening.sigmoid()).split(C, dim=1)
            skips = skips + skip
            if residual:
                x = (x + residual[0]) * valid
        return skips * valid
