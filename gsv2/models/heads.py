"""From the GPT's output at one position to the K codes of a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from gsv2.models.backbone import BackboneConfig, make_backbone
from gsv2.models.patterns import NO_CODE
from gsv2.nn.codes import CodeConfig

Choose = Callable[[int, Tensor], Tensor]
"""(codebook, logits [B, V]) -> chosen ids [B] int64."""


class CodeHead(Protocol):
    """Predicts the codes of steps."""

    def __call__(self, hidden: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
        """Return the logits of the codes that are there.

        Args:
            hidden: [N, D] outputs of the backbone.
            targets: [N, K] int64 codes of the step that each predicts, `NO_CODE` where none.

        Returns:
            Per codebook [N_k, V] ([N_0, V + 1] for codebook 0), the N_k steps with a code of
            that codebook, in order.
        """

    def choose(self, hidden: Tensor, choose: Choose) -> Tensor:
        """Return the codes [B, K] int64 of one step for outputs `hidden` [B, D]."""


def make_classifiers(dim: int, codes: CodeConfig) -> nn.ModuleList:
    """Return a linear classifier for each codebook; the first knows the end as id V."""
    sizes = [codes.codebook_size + (k == 0) for k in range(codes.num_codebooks)]
    return nn.ModuleList(nn.Linear(dim, size, bias=False) for size in sizes)


class FlatHead(nn.Module):
    """Predicts the codes of a step independently of each other."""

    def __init__(self, dim: int, codes: CodeConfig) -> None:
        super().__init__()
        self.classifiers = make_classifiers(dim, codes)

    def forward(self, hidden: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
        """See `CodeHead`."""
        there = (targets != NO_CODE).unbind(1)
        return tuple(
            classify(hidden[rows]) for classify, rows in zip(self.classifiers, there, strict=True)
        )

    def choose(self, hidden: Tensor, choose: Choose) -> Tensor:
        """See `CodeHead`."""
        chosen = [choose(k, classify(hidden)) for k, classify in enumerate(self.classifiers)]
        return torch.stack(chosen, dim=1)


class DepthHead(nn.Module):
    """A small causal transformer over the K codes of a step (arXiv:2203.01941, section 3.2).

    Its position k sees the backbone's output and codes 0..k-1, and predicts code k.
    """

    def __init__(self, dim: int, codes: CodeConfig, depth: BackboneConfig) -> None:
        super().__init__()
        self.codebook_size = codes.codebook_size
        self.input = nn.Linear(dim, depth.dim)
        self.embeddings = nn.ModuleList(
            nn.Embedding(codes.codebook_size, depth.dim) for _ in range(codes.num_codebooks - 1)
        )
        self.transformer = make_backbone(depth)
        self.classifiers = make_classifiers(depth.dim, codes)

    def forward(self, hidden: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
        """See `CodeHead`."""
        outputs = self._outputs(hidden, targets[:, :-1]).unbind(1)
        there = (targets != NO_CODE).unbind(1)
        return tuple(
            classify(output[rows])
            for classify, output, rows in zip(self.classifiers, outputs, there, strict=True)
        )

    def choose(self, hidden: Tensor, choose: Choose) -> Tensor:
        """See `CodeHead`."""
        codes = torch.empty(hidden.shape[0], 0, dtype=torch.int64, device=hidden.device)
        for k, classify in enumerate(self.classifiers):
            logits = classify(self._outputs(hidden, codes)[:, -1])
            codes = torch.cat([codes, choose(k, logits)[:, None]], dim=1)
        return codes

    def _outputs(self, hidden: Tensor, codes: Tensor) -> Tensor:
        """Return [N, J + 1, D'] for the first J codes [N, J] of each step.

        After an end (or where a code is absent) the other codes of the step do not matter, so
        any vector will do for it.
        """
        context = self.input(hidden)
        inputs = [context]
        for embed, code in zip(self.embeddings, codes.unbind(1), strict=False):
            inputs.append(context + embed(code.clamp(0, self.codebook_size - 1)))
        return self.transformer(
            inputs_embeds=torch.stack(inputs, dim=1), use_cache=False
        ).last_hidden_state
