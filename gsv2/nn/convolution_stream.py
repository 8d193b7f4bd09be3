"""Convolution over frames that come piece by piece; its outputs are those over all at once.

What a kernel still needs of earlier frames is kept, so that nothing is computed twice. An output
comes as soon as the frames that its kernel reaches are there.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ConvolutionStream:
    """The outputs of a layer, piece by piece.

    Args:
        layer: convolution of stride and dilation 1, padded so that it keeps the length.
    """

    def __init__(self, layer: nn.Conv1d) -> None:
        assert layer.stride == layer.dilation == (1,), "frames are neither left out nor spread"
        self._layer = layer
        self._margin = layer.kernel_size[0] // 2
        self._seen: Tensor | None = None

    def push(self, frames: Tensor, *, is_last: bool) -> tuple[Tensor, Tensor]:
        """Take the next frames; return the outputs that they complete.

        Args:
            frames: [B, C, T], T may be 0.
            is_last: nothing comes after them.

        Returns:
            Outputs [B, C', T'], and the frames [B, C, T'] in whose places they are.
        """
        if self._seen is None:
            frames = F.pad(frames, (self._margin, 0))
        else:
            frames = torch.cat([self._seen, frames], dim=2)
        if is_last:
            frames = F.pad(frames, (0, self._margin))
        count = max(frames.shape[2] - 2 * self._margin, 0)
        self._seen = frames[:, :, count:]
        if count == 0:
            return frames.new_zeros(len(frames), self._layer.out_channels, 0), frames[:, :, :0]
        outputs = F.conv1d(frames, self._layer.weight, self._layer.bias, groups=self._layer.groups)
        return outputs, frames[:, :, self._margin : self._margin + count]
