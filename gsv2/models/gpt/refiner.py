"""Refiner of the pattern `nar`: later codebooks of a whole clip, one parallel pass a codebook.

Pass k sees codes 0..k-1 of every frame of the clip and all codes of the clip before it, its prompt,
and predicts code k of every frame at once (VALL-E, arXiv 2301.02111, section 4.2.2). Where that
reads the text again, this reads the outputs of the backbone at the clip's own frames, which have
seen the text and all prompts; so it may be small.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gsv2.models.gpt.backbone import BackboneConfig, make_backbone, mask_dtype
from gsv2.models.gpt.heads import CodeClassifier, make_entries, scale_codebooks
from gsv2.nn.codes import NO_CODE, CodeConfig
from gsv2.nn.masks import length_mask

_PASS_STD = 0.02


class Refiner(nn.Module):
    """Transformer over the frames of a prompt and of a clip, each seeing all others.

    Args:
        dim: width of the backbone's outputs, D.
        codes: shape of the codes.
        depth: sizes of the transformer.
    """

    entries: Tensor

    def __init__(self, dim: int, codes: CodeConfig, depth: BackboneConfig) -> None:
        super().__init__()
        K = codes.num_codebooks
        self.context = nn.Linear(dim, depth.dim)
        self.code_inputs = nn.ModuleList(
            nn.Linear(codes.dim // codes.groups, depth.dim) for _ in range(K)
        )
        self.kinds = nn.Parameter(torch.randn(K, depth.dim) * _PASS_STD)
        """Added to frames of the prompt (0), and to those that pass k predicts (k)."""
        self.transformer = make_backbone(depth)
        self.classifiers = nn.ModuleList(
            CodeClassifier(depth.dim, codes, has_end=False) for _ in range(K - 1)
        )
        self.register_buffer("entries", make_entries(codes))

    def set_codebooks(self, codebooks: Tensor) -> None:
        """Take the codebooks [K, V, dim / groups] of the quantizer."""
        self.entries.copy_(scale_codebooks(codebooks))

    def forward(
        self, hidden: Tensor, codes: Tensor, lengths: Tensor, prompts: Tensor
    ) -> list[Tensor]:
        """Return the logits of codebooks 1..K-1, each from the right codes before it.

        Args:
            hidden: [C, T, D] outputs of the backbone after each frame.
            codes: [C, K, T] int64, anything at padding.
            lengths: [C] int64 frames of each clip.
            prompts: [C, K, P] int64 codes of the clip before each, of `align_right`.

        Returns:
            K - 1 of [C, T, V], anything at padding.
        """
        return [
            self._pass(k, hidden, codes, lengths, prompts) for k in range(1, len(self.code_inputs))
        ]

    def fill(self, hidden: Tensor, codes: Tensor, lengths: Tensor, prompts: Tensor) -> Tensor:
        """Return codes [C, K, T] with the likeliest of codebooks 1..K-1 beside the first.

        Args:
            hidden: see `forward`.
            codes: [C, K, T] int64, of which the first codebook is read.
            lengths: see `forward`.
            prompts: see `forward`.
        """
        filled = codes.clone()
        is_frame = length_mask(lengths, codes.shape[2])
        for k in range(1, len(self.code_inputs)):
            chosen = self._pass(k, hidden, filled, lengths, prompts).argmax(dim=-1)
            filled[:, k] = chosen.where(is_frame, NO_CODE)
        return filled

    def _pass(
        self, k: int, hidden: Tensor, codes: Tensor, lengths: Tensor, prompts: Tensor
    ) -> Tensor:
        """Return the logits [C, T, V] of codebook k."""
        T, K = codes.shape[2], codes.shape[1]
        own = self.context(hidden) + self.kinds[k] + self._embed(codes, k)
        inputs = torch.cat([self._embed(prompts, K) + self.kinds[0], own], dim=1)
        is_there = torch.cat([prompts[:, 0] != NO_CODE, length_mask(lengths, T)], dim=1)
        outputs = self.transformer(
            inputs_embeds=inputs, attention_mask=_see_all(is_there, mask_dtype(inputs)),
            use_cache=False,
        ).last_hidden_state  # fmt: skip
        return self.classifiers[k - 1](outputs[:, -T:], self.entries[k])

    def _embed(self, codes: Tensor, num_codebooks: int) -> Tensor:
        """Return [C, T, D'], the sum over the first codebooks of [C, K, T]; 0 where no code is."""
        total = torch.zeros((), device=codes.device)
        for j in range(num_codebooks):
            is_code = (codes[:, j] != NO_CODE).unsqueeze(-1)
            vectors = self.entries[j][codes[:, j].clamp(0, self.entries.shape[1] - 1)]
            total = total + self.code_inputs[j](vectors) * is_code
        return total


def prompt_lengths(lengths: Tensor, sequence: Tensor) -> Tensor:
    """Return the frames [C] of the clip before each clip of a sequence; 0 where it is the first.

    Args:
        lengths: [C] int64 frames of each clip.
        sequence: [C] int64 sequence of each clip, ascending.
    """
    follows = sequence.diff(prepend=sequence[:1] - 1) == 0
    return lengths.roll(1) * follows


def align_right(codes: Tensor, lengths: Tensor) -> Tensor:
    """Return codes [C, K, P] whose last frame is their last valid one, padded before the first.

    A clip then follows its prompt at once, however long others in the batch are.

    Args:
        codes: [C, K, T] int64, anything at padding.
        lengths: [C] int64 valid frames, 0 for none.

    Returns:
        [C, K, P] int64, P the longest and at least 1, padded with `NO_CODE`.
    """
    C, K, T = codes.shape
    P = max(1, min(T, int(lengths.max())))
    places = torch.arange(P, device=codes.device) - (P - lengths[:, None])  # [C, P]
    if T == 0:
        return torch.full((C, K, P), NO_CODE, device=codes.device)
    found = codes.gather(2, places.clamp(0, T - 1)[:, None].expand(C, K, P))
    return found.masked_fill(places[:, None] < 0, NO_CODE)


def _see_all(is_there: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the mask [C, 1, L, L] with which all see those that are there [C, L], and themselves.

    Padding sees itself, so that its softmax is no NaN.
    """
    seen = is_there[:, None, None, :] | torch.eye(
        is_there.shape[1], dtype=torch.bool, device=is_there.device
    )
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, -torch.inf)
