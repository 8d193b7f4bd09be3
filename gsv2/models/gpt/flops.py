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
from gsv2.models.gpt.heads import DepthHead, FlatHead
from gsv2.models.gpt.model import SemanticGPT
from gsv2.models.gpt.refiner import Refiner
from gsv2.nn.audio_input import VectorInput

_TRAINED = 6
"""Operations per weight and row."""
_FROZEN_INPUT = 4
"""Operations per weight and row, of a weight whose input needs no gradient or a frozen one whose
input needs one."""
_PAIR = 12
"""Operations per pair of tokens, layer and dimension."""


@dataclass(frozen=True, kw_only=True)
class RefinerFlops:
    """Operations of all passes of a refiner, forward and backward, without its logits."""

    depth: BackboneConfig
    """Sizes of its transformer, for its attention."""
    num_passes: int
    """Number of passes, K - 1."""
    frame: float
    """A frame of a clip that is refined, without attention."""
    prompt_frame: float
    """A frame of its prompt, without attention."""


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
    """A step that is predicted, of whose codes the first."""
    deep_step: float
    """A step whose later codes are predicted after the first, by a depth transformer."""
    codebooks: tuple[float, ...]
    """A predicted code of each codebook."""
    refiner: RefinerFlops | None = None
    """Passes of a refiner; None without one."""
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
            + self.deep_step * sum(num_codes[1:2])
            + sum(cost * num for cost, num in zip(self.codebooks, num_codes, strict=True))
        )

    def refined(self, frames: Tensor, prompts: Tensor) -> float:
        """Return the operations of a refiner's passes; 0 without one.

        Args:
            frames: [C] int64 frames of each clip that is refined.
            prompts: [C] int64 frames of its prompt.
        """
        if self.refiner is None:
            return 0.0
        pairs = self.refiner.num_passes * int(((frames + prompts) ** 2).sum())
        return (
            self.refiner.frame * int(frames.sum())
            + self.refiner.prompt_frame * int(prompts.sum())
            + _attention(self.refiner.depth, pairs)
        )

    def pointed(self, num_bytes: int, num_frames: int) -> float:
        """Return the operations of a pointer for texts of so many bytes and so many frames."""
        return self.text_byte * num_bytes + self.advance * num_frames


def count_gpt_flops(model: SemanticGPT) -> GPTFlops:
    """Return what rows of a GPT cost; its parameters must be whole (not under ZeRO-3 yet)."""
    head, project = model.head, model.audio_input
    predicted = deep = 0.0
    if isinstance(head, DepthHead):
        K = len(head.classifiers)
        row, depth = _trained(head.transformer), model.config.depth
        predicted = _trained(head.input) + row + _attention(depth, 1)
        inputs = _FROZEN_INPUT * _num_weights(head.code_inputs)
        pairs = _causal_pairs(torch.tensor([K])) - 1
        deep = (K - 1) * row + inputs + _attention(depth, pairs) if K > 1 else 0.0
    pointer = model.pointer if model.has_pointer else None
    refiner = model.refiner if model.pattern.refined else None
    return GPTFlops(
        text_byte=0.0 if pointer is None else _trained(pointer.reader),
        advance=0.0 if pointer is None else _trained(pointer.advance),
        backbone=model.config.backbone,
        token=_trained(model.backbone),
        input_step=_FROZEN_INPUT * _num_weights(project) if isinstance(project, VectorInput) else 0,
        predicted_step=predicted,
        deep_step=deep,
        codebooks=_classifiers(head) + (() if refiner is None else _classifiers(refiner)),
        refiner=None if refiner is None else _refiner(refiner, model.config.depth),
    )


def _refiner(refiner: Refiner, depth: BackboneConfig) -> RefinerFlops:
    row, K = _trained(refiner.transformer), len(refiner.code_inputs)
    code = _FROZEN_INPUT * _num_weights(refiner.code_inputs[0])
    return RefinerFlops(
        depth=depth,
        num_passes=K - 1,
        frame=(K - 1) * (row + _trained(refiner.context)) + code * K * (K - 1) / 2,
        prompt_frame=(K - 1) * (row + K * code),
    )


def _classifiers(head: DepthHead | FlatHead | Refiner) -> tuple[float, ...]:
    """Return what a code of each codebook costs that a part predicts."""
    entries = head.entries[-len(head.classifiers) :]  # a refiner has those of all codebooks
    return tuple(
        _trained(classifier) + _FROZEN_INPUT * of.numel()
        for classifier, of in zip(head.classifiers, entries, strict=True)
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
