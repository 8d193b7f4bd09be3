"""transformers' own Qwen2 as a peer of the semantic GPT: same weights, same clips, same loss.

One codebook: ids of bytes, two starts and codes in one embedding, one classifier of codes and end.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import Qwen2Config, Qwen2Model

from gsv2.models.gpt.backbone import BackboneConfig
from gsv2.models.gpt.heads import FlatHead
from gsv2.models.gpt.model import GPTConfig, GPTInputs, SemanticGPT
from gsv2.nn.audio_input import LearnedInput
from gsv2.nn.codes import CodeConfig
from gsv2.text.encoders.byte_encoder import ByteEncoder

_BYTES = 256
_TEXT_START, _AUDIO_START, _FIRST_CODE = _BYTES, _BYTES + 1, _BYTES + 2
CODES = CodeConfig(groups=1, levels=1, codebook_size=1024, dim=16)
"""One codebook whose vectors, which the peer has none of, cost next to nothing."""


def make_gpt(layers: int, dim: int) -> SemanticGPT:
    """Return a GPT of one codebook with heads of 64 and random weights."""
    heads = dim // 64
    sizes = {"dim": dim, "num_heads": heads, "num_kv_heads": heads, "ffn_dim": dim * 11 // 4}
    backbone = BackboneConfig(num_layers=layers, **sizes)
    torch.manual_seed(0)
    return SemanticGPT(
        GPTConfig(backbone=backbone, pattern="parallel", audio_input="learned", codes=CODES)
    )


class Tokens(NamedTuple):
    """Clips as rows of ids."""

    ids: Tensor
    """[R, L] int64."""
    mask: Tensor | None
    """[R, L] int64, 1 = valid; None where rows are packed."""
    positions: Tensor | None
    """[R, L] int64 place in the sequence where rows are packed."""
    predicts: Tensor
    """[N] int64 places in the flat rows whose outputs predict something."""
    targets: Tensor
    """[N] int64 codes, and the end after each clip."""
    num_frames: int
    """Number of code frames, which the loss is divided by."""


class TransformersGPT(nn.Module):
    """Qwen2 with the weights of a GPT of one codebook, as transformers runs it."""

    def __init__(self, ours: SemanticGPT) -> None:
        super().__init__()
        sizes, V = ours.config.backbone, ours.config.codes.codebook_size
        config = Qwen2Config(
            vocab_size=_FIRST_CODE + V,
            hidden_size=sizes.dim,
            intermediate_size=sizes.ffn_dim,
            num_hidden_layers=sizes.num_layers,
            num_attention_heads=sizes.num_heads,
            num_key_value_heads=sizes.num_kv_heads,
            rope_parameters={"rope_type": "default", "rope_theta": sizes.rope_theta},
            attn_implementation="sdpa",
        )
        self.backbone = Qwen2Model(config)
        self.backbone.load_state_dict(ours.backbone.state_dict(), strict=False)
        text, audio, head = ours.text_encoder, ours.audio_input, ours.head
        assert isinstance(text, ByteEncoder), "bytes are ids"
        assert isinstance(audio, LearnedInput), "codes are ids"
        assert isinstance(head, FlatHead), "one codebook has one classifier"
        starts = torch.stack([ours.text_start, ours.audio_start])
        rows = [text.embedding.weight, starts, audio.embeddings[0].weight[:V]]
        with torch.no_grad():
            self.backbone.embed_tokens.weight.copy_(torch.cat(rows))
        self.classify = nn.Linear(sizes.dim, V + 1)
        self.classify.load_state_dict(head.classifiers[0].weights.state_dict())

    def forward(self, tokens: Tokens) -> Tensor:
        """Return the loss [] of the codes and ends, a frame."""
        hidden = self.backbone(
            input_ids=tokens.ids,
            attention_mask=tokens.mask,
            position_ids=tokens.positions,
            use_cache=False,
        ).last_hidden_state.flatten(0, 1)
        logits = self.classify(hidden[tokens.predicts])
        return F.cross_entropy(logits, tokens.targets, reduction="sum") / tokens.num_frames


def padded(clips: GPTInputs) -> Tokens:
    """Return each clip in a row of its own, padded on the right to the longest."""
    sequences = [_ids(clips, clip) for clip in range(len(clips.sequence))]
    L = max(map(len, sequences))
    ids = torch.stack([F.pad(ids, (0, L - len(ids))) for ids in sequences])
    lengths = torch.tensor([len(ids) for ids in sequences])
    mask = (torch.arange(L) < lengths[:, None]).long()
    starts = [number * L for number in range(len(sequences))]
    return Tokens(ids, mask, None, *_predicted(clips, starts))


def packed(clips: GPTInputs) -> Tokens:
    """Return all clips in one row, told apart by their positions alone."""
    sequences = [_ids(clips, clip) for clip in range(len(clips.sequence))]
    lengths = [len(ids) for ids in sequences]
    positions = torch.cat([torch.arange(length) for length in lengths])
    starts = [sum(lengths[:number]) for number in range(len(lengths))]
    ids = torch.cat(sequences)
    return Tokens(ids[None], None, positions[None], *_predicted(clips, starts))


def _ids(clips: GPTInputs, clip: int) -> Tensor:
    text = clips.text[clip, : clips.text_lengths[clip]]
    codes = clips.codes[clip, 0, : clips.code_lengths[clip]] + _FIRST_CODE
    return torch.cat([torch.tensor([_TEXT_START]), text, torch.tensor([_AUDIO_START]), codes])


def _predicted(clips: GPTInputs, starts: list[int]) -> tuple[Tensor, Tensor, int]:
    end = torch.tensor([CODES.codebook_size])
    places, targets = [], []
    for clip, start in enumerate(starts):
        frames = int(clips.code_lengths[clip])
        audio_start = start + 1 + int(clips.text_lengths[clip])
        places.append(torch.arange(audio_start, audio_start + frames + 1))
        targets.append(torch.cat([clips.codes[clip, 0, :frames], end]))
    return torch.cat(places), torch.cat(targets), int(clips.code_lengths.sum())
