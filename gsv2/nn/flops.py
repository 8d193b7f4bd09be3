"""A counter of floating-point operations: torch's, with the weights of grouped convolutions mended.

torch 2.12 takes the gradient of such a weight for as many products as the weight of a convolution
without groups would need: 22 times too many in all for a depthwise one of 64 channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch.utils.flop_counter import FlopCounterMode


def flop_counter() -> FlopCounterMode:
    """Return a context that counts what networks cost inside, forward and backward."""
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
    """Return what the gradients of input and weight cost: each as much as the forward pass.

    Args:
        gradient: shape [B, C_out, ...] of the output's gradient.
        inputs: [B, C_in, ...].
        weight: [C_out, C_in / groups, ...]; of a transposed one [C_in, C_out / groups, ...].
        bias: not used, as all that is not named here.
        stride: of the convolution.
        padding: of it.
        dilation: of it.
        transposed: whether it is.
        output_padding: of it.
        groups: of it; they are in the shape of `weight`.
        output_mask: which of the gradients of input, weight and bias are wanted.
        out_shape: of the gradients.
    """
    # A weight is used once at each position: of the output, or of the input if transposed.
    batch, _, *positions = inputs if transposed else gradient
    return 2 * batch * prod(positions) * prod(weight) * sum(output_mask[:2])
