"""FLOP counter: torch's, with the weights of grouped convolutions counted rightly.

torch 2.12 takes the gradient of such a weight for as many products as the weight of a convolution
without groups would need: 22 times too many in all for a depthwise one of 64 channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch.utils.flop_counter import FlopCounterMode


def flop_counter() -> FlopCounterMode:
    """Return a context that counts what networks cost inside, forward and backward."""
    from torch.utils.flop_counter import FlopCounterMode  # imports Triton, which takes a second

    mapping = {torch.ops.aten.convolution_backward: _convolution_backward}
    return FlopCounterMode(display=False, custom_mapping=mapping)


def _convolution_backward(
    gradient: Sequence[int],
    inputs: Sequence[int],
    weight: Sequence[int],
    bias: object,
    stride: object,
    padding: object,
    dilation: object,
    transposed: bool,
    output_padding: object,
    groups: int,
    output_mask: Sequence[bool],
    out_shape: object,
) -> int:
    """Return the FLOPs of the gradients of input and weight: for each, those of the forward pass.

    Args are those of `aten.convolution_backward`; tensors come as their shapes.

    Args:
        gradient: [B, C_out, ...] of the output.
        inputs: [B, C_in, ...].
        weight: [C_out, C_in / groups, ...]; of a transposed convolution
            [C_in, C_out / groups, ...].
        output_mask: which of the gradients of input, weight and bias are wanted.
    """
    # A weight is used once at each position: of the output, or of the input if transposed.
    batch, _, *positions = inputs if transposed else gradient
    return 2 * batch * prod(positions) * prod(weight) * sum(output_mask[:2])
