"""Output heads of the GPT: its output at one position -> the K codes of a step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gsv2.models.gpt.backbone import BackboneConfig, make_backbone
from gsv2.models.gpt.patterns import CodePattern
from gsv2.models.gpt.single_step import can_step, rotations, step_layers
from gsv2.nn.codes import NO_CODE, CodeConfig
from gsv2.nn.key_value_cache import KeyValueCache

Choose = Callable[[int, Tensor], Tensor]
"""(codebook, logits [B, V]) -> chosen ids [B] int64."""
_STD_FLOOR = 1e-6
"""Smallest standard deviation that codebooks are divided by."""


class CodeClassifier(nn.Module):
    """Logits of one codebook: learned weights, plus a query against the quantizer's own entries.

    Codes whose entries lie close together get close logits, so that rare codes, of which there
    are many in residual levels, learn from their neighbours. The query starts from zero: drawn
    like any other weight, it would begin with logits of +-3 and twice the loss of a guess.
    """

    def __init__(self, dim: int, codes: CodeConfig, *, has_end: bool) -> None:
        super().__init__()
        self.has_end = has_end
        self.weights = nn.Linear(dim, codes.codebook_size + has_end)
        self.query = nn.Linear(dim, codes.dim // codes.groups, bias=False)
        nn.init.zeros_(self.query.weight)

    def forward(self, hidden: Tensor, entries: Tensor) -> Tensor:
        """Return the logits.

        Args:
            hidden: [N, D].
            entries: [V, dim / groups] of the codebook.

        Returns:
            [N, V], or [N, V + 1] with the end.
        """
        similarity = F.pad(self.query(hidden) @ entries.T, (0, int(self.has_end)))
        return self.weights(hidden) + similarity


class FlatHead(nn.Module):
    """Predicts the codes of a step independently of each other."""

    entries: Tensor

    def __init__(self, dim: int, codes: CodeConfig) -> None:
        super().__init__()
        self.classifiers = make_classifiers(dim, codes)
        self.register_buffer("entries", make_entries(codes))

    def set_codebooks(self, codebooks: Tensor) -> None:
        """Take the codebooks [K, V, dim / groups] of the quantizer."""
        self.entries.copy_(scale_codebooks(codebooks[: len(self.classifiers)]))

    def forward(self, hidden: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
        """Return the logits of the codes that are there.

        Args:
            hidden: [N, D] outputs of the backbone.
            targets: [N, K] int64 codes of the step that each predicts, `NO_CODE` where none.

        Returns:
            Per codebook [N_k, V] ([N_0, V + 1] for codebook 0), the N_k steps with a code of
            that codebook, in order.
        """
        K = len(self.classifiers)
        return classify_targets(self.classifiers, [hidden] * K, targets[:, :K], self.entries)

    def choose(self, hidden: Tensor, choose: Choose) -> Tensor:
        """Return the codes [B, K] int64 of one step for outputs `hidden` [B, D]."""
        chosen = [
            choose(k, classify(hidden, self.entries[k]))
            for k, classify in enumerate(self.classifiers)
        ]
        return torch.stack(chosen, dim=1)


class DepthHead(nn.Module):
    """A small causal transformer over the K codes of a step (arXiv:2203.01941, section 3.2).

    Its position k sees the backbone's output and codes 0..k-1 (a projection of the quantizer's
    entries), and predicts code k.
    """

    entries: Tensor

    def __init__(self, dim: int, codes: CodeConfig, depth: BackboneConfig) -> None:
        super().__init__()
        self.input = nn.Linear(dim, depth.dim)
        self.code_inputs = nn.ModuleList(
            nn.Linear(codes.dim // codes.groups, depth.dim) for _ in range(codes.num_codebooks - 1)
        )
        self.transformer = make_backbone(depth)
        self.classifiers = make_classifiers(depth.dim, codes)
        self.register_buffer("entries", make_entries(codes))

    def set_codebooks(self, codebooks: Tensor) -> None:
        """See `FlatHead`."""
        self.entries.copy_(scale_codebooks(codebooks))

    def forward(self, hidden: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
        """See `FlatHead`."""
        is_deep = (targets[:, 1:] != NO_CODE).any(dim=1)  # the others have a first code alone
        deep, rest = is_deep.nonzero()[:, 0], (~is_deep).nonzero()[:, 0]
        if not len(deep) or not len(rest):
            outputs = self._outputs(hidden, targets[:, :-1]).unbind(1)
            return classify_targets(self.classifiers, outputs, targets, self.entries)
        outputs = self._outputs(hidden[deep], targets[deep, :-1]).unbind(1)  # K of [M, D']
        first = torch.cat([outputs[0], self._outputs(hidden[rest], targets[rest, :0])[:, 0]])
        first = first[torch.cat([deep, rest]).argsort()]
        heads, entries = self.classifiers, self.entries
        return (
            *classify_targets(heads[:1], [first], targets[:, :1], entries[:1]),
            *classify_targets(heads[1:], outputs[1:], targets[deep, 1:], entries[1:]),
        )

    def choose(self, hidden: Tensor, choose: Choose) -> Tensor:
        """See `FlatHead`."""
        context = self.input(hidden)
        cache = KeyValueCache(len(self.classifiers))
        chosen: list[Tensor] = []
        plain = rotations(self.transformer, len(self.classifiers), context)
        is_plain = can_step(self.transformer)
        for k, classify in enumerate(self.classifiers):
            inputs = context if k == 0 else context + self._embed(k - 1, chosen[-1])
            if is_plain:
                output = step_layers(self.transformer, inputs, plain[:, k], cache)
            else:
                output = self.transformer(
                    inputs_embeds=inputs[:, None],
                    attention_mask={"full_attention": None},
                    cache=cache,
                    use_cache=True,
                ).last_hidden_state[:, 0]
            chosen.append(choose(k, classify(output, self.entries[k])))
        return torch.stack(chosen, dim=1)

    def _outputs(self, hidden: Tensor, codes: Tensor) -> Tensor:
        """Return [N, J + 1, D'] for the first J codes [N, J] of each step.

        After an end (or where a code is absent) the other codes of the step do not matter, so
        any entry will do for it.
        """
        context = self.input(hidden)
        later = [context + self._embed(k, code) for k, code in enumerate(codes.unbind(1))]
        inputs = [context, *later]
        return self.transformer(
            inputs_embeds=torch.stack(inputs, dim=1), use_cache=False
        ).last_hidden_state

    def _embed(self, k: int, codes: Tensor) -> Tensor:
        """Return [N, D'] for codes [N] of codebook k."""
        return self.code_inputs[k](self.entries[k][codes.clamp(0, self.entries.shape[1] - 1)])


def make_head(
    pattern: CodePattern, dim: int, codes: CodeConfig, depth: BackboneConfig
) -> FlatHead | DepthHead:
    """Return the head of a pattern.

    Args:
        pattern: where codes stand; one that is refined has a head of the first codebook alone.
        dim: width of the backbone's outputs.
        codes: shape of the codes.
        depth: sizes of the transformer over the codes of a step, if they are predicted in order.
    """
    if pattern.ordered:
        return DepthHead(dim, codes, depth)
    if pattern.refined:
        codes = replace(codes, groups=1, levels=1, dim=codes.dim // codes.groups)
    return FlatHead(dim, codes)


def make_classifiers(dim: int, codes: CodeConfig) -> nn.ModuleList:
    """Return a classifier for each codebook; the first knows the end as id V."""
    return nn.ModuleList(
        CodeClassifier(dim, codes, has_end=k == 0) for k in range(codes.num_codebooks)
    )


def classify_targets(
    classifiers: nn.ModuleList, outputs: Sequence[Tensor], targets: Tensor, entries: Tensor
) -> tuple[Tensor, ...]:
    """Return per codebook the logits of the steps that have a code of it.

    Args:
        classifiers: K of them.
        outputs: K of [N, D].
        targets: [N, K] int64.
        entries: [K, V, dim / groups].
    """
    there = (targets != NO_CODE).unbind(1)
    return tuple(
        classify(output[rows], entries[k])
        for k, (classify, output, rows) in enumerate(zip(classifiers, outputs, there, strict=True))
    )


def make_entries(codes: CodeConfig) -> Tensor:
    """Return room for codebooks: zeros [K, V, dim / groups]."""
    return torch.zeros(codes.num_codebooks, codes.codebook_size, codes.dim // codes.groups)


def scale_codebooks(codebooks: Tensor) -> Tensor:
    """Return codebooks [K, V, dim / groups], each scaled to unit variance."""
    return codebooks / codebooks.std(dim=(1, 2), keepdim=True).clamp(min=_STD_FLOOR)
