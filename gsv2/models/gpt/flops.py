"""Floating-point operations that training the GPT on given clips needs.

A weight of a matrix product costs 6 per row that it meets: 2 forward, 2 for the gradient of its
input, 2 for its own (arXiv:2001.08361, section 2.1); 4 where the input or the weight is frozen.
Attention costs 12 D per pair of tokens and layer (arXiv:2204.02311, appendix B), and only the pairs
that a causal mask lets see each other count, which that appendix does not halve. Norms, rotations
and softmax are left out, as everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gsv2.models.gpt.backbone import BackboneConfig
from gsv2.models.gpt.heads import DepthHead
from gsv2.models.gpt.model import SemanticGPT
from gsv2.nn.audio_input import VectorInput

_TRAINED = 6
"""Operations per weight and row."""
_FROZEN_INPUT = 4
"""Operations per weight and row, of a weight whose input needs no gradient or a frozen one whose
input needs one."""
_PAIR = 12
"""Operations per pair of tokens, layer and dimension."""


@dataclass(frozen=True, kw_only=True)
class GPTFlops:
    """Operations of each kind of row, forward and backward."""

    backbone: BackboneConfig
    """Sizes of the backbone, for its attention."""
    token: float
    """A token of a sequence, without attention."""
    input_step: float
    """A step that is an input."""
    predicted_step: float
    """A step that is predicted."""
    codebooks: tuple[float, ...]
    """A predicted code of each codebook."""
    text_byte: float = 0.0
    """A byte that a pointer reads."""
    advance: float = 0.0
    """A frame after which a pointer moves."""

    def total(
        self, sequence_tokens: Tensor, num_inputs: int, num_predicted: int, num_codes: list[int]
    ) -> float:
        """Return the operations of a micro-batch.

        Args:
            sequence_tokens: [Q] int64 tokens of each sequence.
            num_inputs: steps that are inputs.
            num_predicted: steps that are predicted.
            num_codes: predicted codes of each codebook.
        """
        pairs = _causal_pairs(sequence_tokens)
        return (
            self.token * int(sequence_tokens.sum())
            + _attention(self.backbone, pairs)
            + self.input_step * num_inputs
            + self.predicted_step * num_predicted
            + sum(cost * num for cost, num in zip(self.codebooks, num_codes, strict=True))
        )

    def pointed(self, num_bytes: int, num_frames: int) -> float:
        """Return the operations of a pointer for texts of so many bytes and so many frames."""
        return self.text_byte * num_bytes + self.advance * num_frames


def count_gpt_flops(model: SemanticGPT) -> GPTFlops:
    """Return what rows of a GPT cost; its parameters must be whole (not under ZeRO-3 yet)."""
    head, project = model.head, model.audio_input
    predicted = 0.0
    if isinstance(head, DepthHead):
        K = len(head.classifiers)
        pairs = _causal_pairs(torch.tensor([K]))
        predicted = (
            _trained(head.input)
            + K * _trained(head.transformer)
            + _FROZEN_INPUT * _num_weights(head.code_inputs)
            + _attention(model.config.depth, pairs)
        )
    pointer = model.pointer if model.has_pointer else None
    return GPTFlops(
        text_byte=0.0 if pointer is None else _trained(pointer.reader),
        advance=0.0 if pointer is None else _trained(pointer.advance),
        backbone=model.config.backbone,
        token=_trained(model.backbone),
        input_step=_FROZEN_INPUT * _num_weights(project) if isinstance(project, VectorInput) else 0,
        predicted_step=predicted,
        codebooks=tuple(
            _trained(classifier) + _FROZEN_INPUT * entries.numel()
            for classifier, entries in zip(head.classifiers, head.entries, strict=True)
        ),
    )


def _num_weights(module: nn.Module) -> int:
    """Return the weights of all matrix products in a module."""
    return sum(weight.numel() for weight in _weights(module))


def _trained(module: nn.Module) -> int:
    """Return what the matrix products of a module cost a row whose gradient is wanted."""
    return sum(
        (_TRAINED if weight.requires_grad else _FROZEN_INPUT) * weight.numel()
        for weight in _weights(module)
    )


def _weights(module: nn.Module) -> Iterator[Tensor]:
    return (m.weight for m in module.modules() if isinstance(m, nn.Linear | nn.Conv1d))


def _causal_pairs(lengths: Tensor) -> int:
    """Return how many (token, token that it sees) there are in sequences of lengths [Q]."""
    return int((lengths * (lengths + 1) // 2).sum())


def _attention(config: BackboneConfig, pairs: int) -> float:
    return float(_PAIR * config.dim * config.num_layers * pairs)
