"""Features that codes stand for: what the quantizer's frozen decoder makes of code vectors.

The content encoder may read them beside the vectors, so that it starts from the spectrum that the
codes hold and learns what is missing, in place of learning the decoder anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gsv2.nn.framerate import FrameCodecConfig, FrameDecoder


@dataclass(frozen=True, kw_only=True)
class CodeFeaturesConfig:
    """Sizes of the quantizer's decoder; the stage fills them in."""

    num_features: int = 160
    """Number of features of a frame."""
    width: int = 512
    """Channels of the decoder."""
    num_blocks: int = 3
    """Number of convolution blocks of the decoder."""
    kernel_size: int = 7
    """Kernel size of the blocks, in code frames."""


class CodeFeatures(nn.Module):
    """Code vectors -> normalised features at the frame rate; buffers alone, so it never trains.

    Args:
        config: sizes of the decoder.
        code_dim: dimension of the code vectors.
        frames_per_code: frames that one code frame covers.
    """

    def __init__(self, config: CodeFeaturesConfig, code_dim: int, frames_per_code: int) -> None:
        super().__init__()
        self.decoder = FrameDecoder(
            FrameCodecConfig(
                input_dim=config.num_features,
                width=config.width,
                output_dim=code_dim,
                stride=frames_per_code,
                num_blocks=config.num_blocks,
                kernel_size=config.kernel_size,
            )
        )
        _make_buffers(self.decoder)

    def set_decoder(self, weights: Mapping[str, Tensor]) -> None:
        """Take the decoder of a quantizer.

        Args:
            weights: `state_dict` of the quantizer.

        Raises:
            RuntimeError: they are of another decoder.
        """
        self.decoder.load_state_dict(weights)

    @torch.no_grad()
    def forward(self, vectors: Tensor, mask: Tensor) -> Tensor:
        """Return the features of codes.

        Args:
            vectors: [B, T_codes, code_dim].
            mask: [B, T_codes] bool, True = valid.

        Returns:
            [B, T_codes * frames_per_code, num_features] of mean 0 and variance 1 over the
            quantizer's data; meaningless at padding.
        """
        return self.decoder(vectors, mask)


def _make_buffers(module: nn.Module) -> None:
    """Make every parameter a buffer of the same name."""
    for part in module.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            delattr(part, name)
            part.register_buffer(name, parameter.detach())
