"""Semantic GPT: text and same-speaker prompts -> codes, autoregressively.

A decoder-only transformer over `x1 y1 x2 y2 ... xN yN` (x = text, y = codes of one clip, all of
one speaker), with one rotary position over the whole. In training every clip's codes carry loss,
so one sequence teaches 0, 1, ... N - 1 references; or only the last one's. Sequences may be packed
into rows of a fixed length: each then counts its positions from 0 and sees nothing of the others.

How the text reaches the codes is `reading`: by `attention` to the x in the sequence, by a
`pointer` (`gsv2.models.gpt.pointer`) in place of them, or by both.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gsv2.models.component import Component
from gsv2.models.gpt.backbone import make_backbone, recompute_layers, run_rows
from gsv2.models.gpt.config import GPTConfig
from gsv2.models.gpt.heads import make_head
from gsv2.models.gpt.interleave import Interleaved, PackedRows, interleave
from gsv2.models.gpt.lora import add_adapters, merge_adapters
from gsv2.models.gpt.patterns import make_pattern
from gsv2.models.gpt.pointer import Pointer, count_characters
from gsv2.models.gpt.refiner import Refiner, align_right, prompt_lengths
from gsv2.models.trained_module import build_trained
from gsv2.nn.audio_input import make_audio_input
from gsv2.nn.codes import NO_CODE
from gsv2.text.encoders.make import make_text_input

_START_STD = 0.02


class GPTInputs(NamedTuple):
    """C clips, of which those of one sequence follow each other."""

    text: Tensor
    """[C, S] int64 token ids, or [C, S, text_vectors.dim] vectors."""
    text_lengths: Tensor
    """[C] int64."""
    codes: Tensor
    """[C, K, T] int64."""
    code_lengths: Tensor
    """[C] int64."""
    sequence: Tensor
    """[C] int64 sequence of each clip, ascending from 0."""
    alignments: Tensor | None = None
    """[C, T] int64 character spoken at each frame, for a pointer to follow."""


class GPTOutput(NamedTuple):
    """The predictions of all steps of a batch."""

    logits: tuple[Tensor, ...]
    """K of [N_k, V], [N_0, V + 1] for codebook 0: each code that is there, clip by clip."""
    targets: tuple[Tensor, ...]
    """K of [N_k] int64: what they should predict."""
    advance_logits: Tensor | None = None
    """[M, A]: how far the pointer moves on after each frame, clip by clip; None without one."""
    advance_targets: Tensor | None = None
    """[M] int64: how far it should."""


class _Embedded(NamedTuple):
    """The backbone's inputs for C clips."""

    inputs: Tensor
    """[R, L, D]."""
    layout: Interleaved
    step_vectors: Tensor
    """[C, P, D]: what codes alone make of each step."""
    moves: Tensor | None
    """[C, T] int64, see `PointerTargets`; None without a pointer."""


class SemanticGPT(nn.Module):
    """Text and prompts -> logits of codes; see the module's docstring."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.backbone.dim
        self.pattern = make_pattern(config.pattern, config.codes.num_codebooks)
        self.text_encoder = make_text_input(
            config.text_encoder, config.text_vectors, config.tokenizer, dim
        )
        self.text_start = nn.Parameter(torch.randn(dim) * _START_STD)
        self.audio_start = nn.Parameter(torch.randn(dim) * _START_STD)
        self.audio_input = make_audio_input(config.audio_input, dim, config.codes)
        self.dropout = nn.Dropout(config.dropout)
        self.backbone = make_backbone(config.backbone)
        if config.lora.rank:
            add_adapters(self.backbone, config.lora)
        self.head = make_head(self.pattern, dim, config.codes, config.depth)
        if self.pattern.refined:
            self.refiner = Refiner(dim, config.codes, config.depth)
        if config.reading != "attention":
            self.pointer = Pointer(dim, config.pointer)

    @property
    def has_pointer(self) -> bool:
        """Whether a pointer says which character is spoken."""
        return self.config.reading != "attention"

    @property
    def end(self) -> int:
        """Id of the end on codebook 0."""
        return self.config.codes.codebook_size

    @classmethod
    def from_component(cls, component: Component) -> SemanticGPT:
        """Return the trained GPT of a component file, in eval mode, with its adapters merged.

        Raises:
            ComponentError: the file's config or weights are damaged.
        """
        return build_trained(merge_adapters(component), GPTConfig, cls).eval()

    def set_codebooks(self, codebooks: Tensor) -> None:
        """Take the codebooks [K, V, dim / groups] of the quantizer, before training."""
        self.audio_input.set_codebooks(codebooks)
        self.head.set_codebooks(codebooks)
        if self.pattern.refined:
            self.refiner.set_codebooks(codebooks)

    def recompute_activations(self) -> None:
        """Keep less for the backward pass: the layers of the transformers run again in it."""
        recompute_layers(self)

    def forward(
        self, clips: GPTInputs, rows: PackedRows | None = None, is_target: Tensor | None = None
    ) -> GPTOutput:
        """Predict the codes of clips from what stands before them in their sequence.

        Args:
            clips: clips of the batch.
            rows: where the sequences are packed; None = each has a row, as long as the longest.
            is_target: [C] bool: clips whose codes are predicted; None = all.

        Raises:
            ValueError: a packed row is too short, or a pointer has no alignments.
        """
        steps = self.pattern.to_steps(clips.codes, clips.code_lengths, self.end)  # [C, K, S]
        embedded = self._embed(clips, steps, rows)
        hidden = self._run(embedded, is_packed=rows is not None)  # [R * L, D]
        if is_target is None:
            is_target = torch.ones_like(clips.sequence, dtype=torch.bool)
        there = (steps != NO_CODE).any(dim=1) & is_target[:, None]  # [C, S]
        places = embedded.layout.predicts
        targets = self._sample_frames(steps.transpose(1, 2)[there])  # [N, K]
        logits = self.head(self.dropout(hidden[places[:, : steps.shape[2]][there]]), targets)
        if self.pattern.refined:
            logits += self._refine(hidden, embedded.layout, clips, is_target)
        output = GPTOutput(logits, tuple(column[column != NO_CODE] for column in targets.unbind(1)))
        if embedded.moves is None:
            return output
        T = min(clips.codes.shape[2], embedded.step_vectors.shape[1] // self.pattern.stride)
        frames = torch.arange(T, device=steps.device)  # codes may be padded further
        is_frame = (frames < clips.code_lengths[:, None]) & is_target[:, None]
        last = (frames + 1) * self.pattern.stride - 1  # step of each frame
        after = self.dropout(hidden[places[:, last][is_frame]])
        advance = self.pointer.advance(after, embedded.step_vectors[:, last][is_frame])
        moves = embedded.moves[:, :T][is_frame]
        return output._replace(advance_logits=advance, advance_targets=moves)

    def embed(self, clips: GPTInputs) -> tuple[Tensor, Tensor]:
        """Return the backbone's inputs [Q, L, D] and their mask [Q, L] bool, as in `forward`.

        A clip of 0 frames ends with its `audio_start`, whose output predicts its first step.
        """
        steps = self.pattern.to_steps(clips.codes, clips.code_lengths, self.end)
        embedded = self._embed(clips, steps)
        return embedded.inputs, embedded.layout.mask

    def embed_steps(self, steps: Tensor) -> Tensor:
        """Return the backbone's inputs [B, S, D] for steps [B, K, S]; ends count as no code."""
        if self.pattern.refined:  # later codebooks come when the clip is over
            later = self.pattern.num_codebooks - 1
            steps = F.pad(steps[:, :1], (0, 0, 0, later), value=NO_CODE)
        return self.audio_input(steps.masked_fill(steps == self.end, NO_CODE))

    def _embed(self, clips: GPTInputs, steps: Tensor, rows: PackedRows | None = None) -> _Embedded:
        is_read = self.config.reading != "pointer"
        lengths = clips.text_lengths if is_read else torch.zeros_like(clips.text_lengths)
        num_steps = self.pattern.num_code_steps(clips.code_lengths)
        layout = interleave(lengths, num_steps, clips.sequence, rows)
        text_vectors = self.text_encoder(clips.text)
        step_vectors = self.embed_steps(steps[:, :, : layout.steps.shape[1]])
        start: Tensor = self.audio_start
        spoken, moves = step_vectors, None
        if self.has_pointer:
            if clips.alignments is None:
                raise ValueError(f"alignments must be given for reading={self.config.reading}")
            vectors, moves = self.pointer.follow(
                self.pointer.reader(text_vectors, clips.text),
                count_characters(clips.text),
                clips.alignments,
                clips.code_lengths,
                torch.arange(step_vectors.shape[1] + 1, device=steps.device) // self.pattern.stride,
            )
            start, spoken = start + vectors[:, 0], spoken + vectors[:, 1:]
        read = text_vectors if is_read else text_vectors[:, :0]
        inputs = layout.place(self.text_start, read, start, spoken)
        return _Embedded(self.dropout(inputs), layout, step_vectors, moves)

    def num_sampled(self, frames: int) -> int:
        """Return of how many frames the codes after the first are learnt."""
        return math.ceil(self.config.depth_frames * frames)

    def _sample_frames(self, targets: Tensor) -> Tensor:
        """Return targets [N, K] without the later codes of the frames that are not drawn."""
        if not self.training or self.config.depth_frames == 1 or targets.shape[1] == 1:
            return targets
        frames = (targets[:, 1] != NO_CODE).nonzero()[:, 0]
        order = torch.randperm(len(frames), device=frames.device)
        left_out = frames[order[self.num_sampled(len(frames)) :]]
        is_left_out = torch.zeros_like(targets, dtype=torch.bool)
        is_left_out[left_out, 1:] = True
        return targets.masked_fill(is_left_out, NO_CODE)

    def _refine(
        self, hidden: Tensor, layout: Interleaved, clips: GPTInputs, is_target: Tensor
    ) -> tuple[Tensor, ...]:
        """Return the logits of the codebooks after the first, as `GPTOutput` has them.

        Args:
            hidden: [R * L, D] outputs of the backbone.
            layout: places of the clips in them.
            clips: clips of the batch.
            is_target: [C] bool: clips that are predicted.
        """
        T = layout.steps.shape[1]
        codes, lengths = clips.codes[:, :, :T], clips.code_lengths
        prompts = align_right(codes.roll(1, dims=0), prompt_lengths(lengths, clips.sequence))
        after = self.dropout(F.pad(hidden, (0, 0, 0, 1))[layout.steps])  # [C, T, D]
        is_frame = torch.arange(T, device=codes.device) < lengths[is_target][:, None]
        found = self.refiner(*(x[is_target] for x in (after, codes, lengths, prompts)))
        return tuple(logits[is_frame] for logits in found)

    def _run(self, embedded: _Embedded, *, is_packed: bool) -> Tensor:
        """Return the backbone's outputs [R * L, D] for its inputs."""
        inputs, layout = embedded.inputs, embedded.layout
        if is_packed:
            return run_rows(self.backbone, inputs, layout.documents, layout.positions).flatten(0, 1)
        hidden = self.backbone(inputs_embeds=inputs, use_cache=False).last_hidden_state
        return hidden.flatten(0, 1)  # padded on the right, where no valid token looks
