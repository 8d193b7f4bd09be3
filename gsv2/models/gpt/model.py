"""The semantic GPT: text and same-speaker prompts -> codes, autoregressively.

A decoder-only transformer over `x1 y1 x2 y2 ... xN yN` (x = text, y = codes of one clip, all of
one speaker), with one rotary position over the whole. In training every clip's codes carry loss,
so one sequence teaches 0, 1, ... N - 1 references; or only the last one's. Sequences may be packed
into rows of a fixed length: each then counts its positions from 0 and sees nothing of the others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from transformers import Qwen2Model

from gsv2.models.component import Component
from gsv2.models.gpt.backbone import (
    BackboneConfig,
    make_backbone,
    make_document_mask,
    recompute_layers,
)
from gsv2.models.gpt.heads import DepthHead, FlatHead
from gsv2.models.gpt.interleave import Interleaved, Rows, interleave
from gsv2.models.gpt.patterns import PatternName, make_pattern
from gsv2.models.trained_module import build_trained
from gsv2.nn.audio_input import AudioInputName, make_audio_input
from gsv2.nn.codes import NO_CODE, CodeConfig
from gsv2.text.encoder import ByteEncoder

_START_STD = 0.02


@dataclass(frozen=True, kw_only=True)
class GPTConfig:
    """A semantic GPT."""

    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    """The transformer over the sequence; its `dim` is the model dimension D."""
    text_encoder: Literal["bytes"] = "bytes"
    """Encoder of the text."""
    audio_input: AudioInputName = "vq"
    """Input of a step: a projection of the quantizer's own vectors, or learned embeddings."""
    pattern: PatternName = "depth"
    """Order in which codes are generated, see `gsv2.models.gpt.patterns`."""
    depth: BackboneConfig = field(
        default_factory=lambda: BackboneConfig(
            dim=512, num_layers=4, num_heads=8, num_kv_heads=8, ffn_dim=1408
        )
    )
    """The transformer over the codes of a frame, if the pattern is `depth`."""
    dropout: float = 0.0
    """Probability of dropping a value of the backbone's inputs and outputs."""
    codes: CodeConfig = field(default_factory=CodeConfig)
    """Shape of the quantizer's codes; the stage fills it in."""


class GPTOutput(NamedTuple):
    """The predictions of all steps of a batch."""

    logits: tuple[Tensor, ...]
    """K of [N_k, V], [N_0, V + 1] for codebook 0: each code that is there, clip by clip."""
    targets: tuple[Tensor, ...]
    """K of [N_k] int64: what they should predict."""


class SemanticGPT(nn.Module):
    """Text and prompts -> logits of codes; see the module's docstring."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.backbone.dim
        self.pattern = make_pattern(config.pattern, config.codes.num_codebooks)
        self.text_encoder = ByteEncoder(dim)
        self.text_start = nn.Parameter(torch.randn(dim) * _START_STD)
        self.audio_start = nn.Parameter(torch.randn(dim) * _START_STD)
        self.audio_input = make_audio_input(config.audio_input, dim, config.codes)
        self.dropout = nn.Dropout(config.dropout)
        self.backbone = make_backbone(config.backbone)
        self.head = (
            DepthHead(dim, config.codes, config.depth)
            if self.pattern.ordered
            else FlatHead(dim, config.codes)
        )

    @property
    def end(self) -> int:
        """Id of the end on codebook 0."""
        return self.config.codes.codebook_size

    @classmethod
    def from_component(cls, component: Component) -> SemanticGPT:
        """Return the trained GPT of a component file, in eval mode.

        Raises:
            ComponentError: the file's config or weights are damaged.
        """
        return build_trained(component, GPTConfig, cls).eval()

    def set_codebooks(self, codebooks: Tensor) -> None:
        """Take the codebooks [K, V, dim / groups] of the quantizer, before training."""
        self.audio_input.set_codebooks(codebooks)
        self.head.set_codebooks(codebooks)

    def recompute_activations(self) -> None:
        """Keep less for the backward pass: the layers of the transformers run again in it."""
        for module in self.modules():
            if isinstance(module, Qwen2Model):
                recompute_layers(module)

    def forward(
        self,
        text: Tensor,
        text_lengths: Tensor,
        codes: Tensor,
        code_lengths: Tensor,
        sequence: Tensor,
        rows: Rows | None = None,
        is_target: Tensor | None = None,
    ) -> GPTOutput:
        """Predict the codes of clips from what stands before them in their sequence.

        Args:
            text: [C, S] int64 token ids.
            text_lengths: [C] int64.
            codes: [C, K, T] int64.
            code_lengths: [C] int64.
            sequence: [C] int64 sequence of each clip, ascending from 0.
            rows: where the sequences are packed; None = each has a row, as long as the longest.
            is_target: [C] bool: clips whose codes are predicted; None = all.

        Raises:
            ValueError: the sequences of a packed row need more tokens than it has.
        """
        steps = self.pattern.to_steps(codes, code_lengths, self.end)  # [C, K, S]
        inputs, layout = self._embed(text, text_lengths, steps, code_lengths, sequence, rows)
        hidden = self._run(inputs, layout if rows is not None else None)
        there = (steps != NO_CODE).any(dim=1)  # [C, S]
        if is_target is not None:
            there &= is_target[:, None]
        predicts = layout.predicts[:, : steps.shape[2]]
        hidden = hidden.flatten(0, 1)[predicts[there]]
        targets = steps.transpose(1, 2)[there]  # [N, K]
        logits = self.head(self.dropout(hidden), targets)
        return GPTOutput(logits, tuple(column[column != NO_CODE] for column in targets.unbind(1)))

    def embed(
        self,
        text: Tensor,
        text_lengths: Tensor,
        codes: Tensor,
        code_lengths: Tensor,
        sequence: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Return the backbone's inputs [Q, L, D] and their mask [Q, L] bool, as in `forward`.

        A clip of 0 frames ends with its `audio_start`, whose output predicts its first step.
        """
        steps = self.pattern.to_steps(codes, code_lengths, self.end)
        inputs, layout = self._embed(text, text_lengths, steps, code_lengths, sequence)
        return inputs, layout.mask

    def embed_steps(self, steps: Tensor) -> Tensor:
        """Return the backbone's inputs [B, S, D] for steps [B, K, S]; ends count as no code."""
        return self.audio_input(steps.masked_fill(steps == self.end, NO_CODE))

    def _embed(
        self,
        text: Tensor,
        text_lengths: Tensor,
        steps: Tensor,
        code_lengths: Tensor,
        sequence: Tensor,
        rows: Rows | None = None,
    ) -> tuple[Tensor, Interleaved]:
        step_lengths = self.pattern.num_code_steps(code_lengths)
        layout = interleave(text_lengths, step_lengths, sequence, rows)
        inputs = layout.place(
            self.text_start,
            self.text_encoder(text),
            self.audio_start,
            self.embed_steps(steps[:, :, : layout.steps.shape[1]]),
        )
        return self.dropout(inputs), layout

    def _run(self, inputs: Tensor, packed: Interleaved | None) -> Tensor:
        """Return the backbone's outputs [R, L, D] for its inputs."""
        if packed is None:  # padded on the right, where no valid token looks
            return self.backbone(inputs_embeds=inputs, use_cache=False).last_hidden_state
        device = inputs.device.type
        is_mixed = torch.is_autocast_enabled(device)
        dtype = torch.get_autocast_dtype(device) if is_mixed else inputs.dtype
        return self.backbone(
            inputs_embeds=inputs,
            attention_mask=make_document_mask(packed.documents, dtype),
            position_ids=packed.positions,
            use_cache=False,
        ).last_hidden_state
