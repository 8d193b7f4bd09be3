"""Utterances: texts to speak after prompts, and the inputs that they are to the GPT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from gsv2.models.gpt.model import GPTInputs, SemanticGPT
from gsv2.models.gpt.refiner import align_right
from gsv2.nn.codes import NO_CODE
from gsv2.text.normalize import normalize_text


class Prompt(NamedTuple):
    """A reference clip: the voice to speak in."""

    text: str
    """Transcript."""
    codes: Tensor
    """[K, T] int64."""
    alignment: Tensor | None = None
    """[T] int64 character spoken at each frame; a GPT that reads by a pointer needs it."""


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """A text to speak, and the voice to speak it in."""

    text: str
    """Text of any language and script."""
    prompts: tuple[Prompt, ...] = ()
    """Clips of one speaker, in the order in which the model reads them."""
    prompt_weights: tuple[float, ...] = ()
    """One a prompt: the model reads each alone, and what it predicts is averaged by them. Empty =
    it reads all, one after the other."""

    def __post_init__(self) -> None:
        """Check that weights can be meant."""
        weights = self.prompt_weights
        if weights and not (
            len(weights) == len(self.prompts) and all(weight > 0 for weight in weights)
        ):
            raise ValueError(
                f"prompt_weights must be one above 0 for each of {len(self.prompts)} prompts, "
                f"but are {list(weights)}"
            )


def embed_utterances(model: SemanticGPT, utterances: Sequence[Utterance]) -> tuple[Tensor, Tensor]:
    """Return the backbone's inputs [B, L, D] up to where codes start, and their mask [B, L].

    Padded on the left, so that all end at the same position.

    Raises:
        ValueError: a prompt whose codes or alignment are not what the model reads.
    """
    K = model.pattern.num_codebooks
    clips: list[Prompt] = []
    sequence: list[int] = []
    for item, utterance in enumerate(utterances):
        to_speak = Prompt(utterance.text, torch.empty(K, 0, dtype=torch.int64))
        clips += [*utterance.prompts, to_speak]
        sequence += [item] * (len(utterance.prompts) + 1)
    for clip in clips:
        if clip.codes.ndim != 2 or clip.codes.shape[0] != K:
            raise ValueError(
                f"codes of a prompt must be [K={K}, T], but are {tuple(clip.codes.shape)}"
            )
    lengths = torch.tensor([clip.codes.shape[1] for clip in clips])
    codes = _pad([clip.codes for clip in clips])
    tokens = model.text_encoder.tokenize([normalize_text(clip.text) for clip in clips])
    tensors = [tokens.ids, tokens.lengths, codes, lengths, torch.tensor(sequence)]
    if model.has_pointer:
        tensors.append(_pad([_alignment(clip) for clip in clips]))
    device = model.text_start.device
    inputs, mask = model.embed(GPTInputs(*(tensor.to(device) for tensor in tensors)))
    shifts = (~mask).sum(dim=1).tolist()
    rolled = [row.roll(shift, dims=0) for row, shift in zip(inputs, shifts, strict=True)]
    return torch.stack(rolled), mask.flip(1)


def last_prompts(utterances: Sequence[Utterance], num_codebooks: int) -> Tensor:
    """Return the codes [B, K, P] of the clip that each utterance follows, for a refiner."""
    nothing = torch.empty(num_codebooks, 0, dtype=torch.int64)
    last = [item.prompts[-1].codes if item.prompts else nothing for item in utterances]
    lengths = torch.tensor([codes.shape[1] for codes in last])
    return align_right(_pad([codes.cpu() for codes in last]), lengths)


def _alignment(clip: Prompt) -> Tensor:
    """Return the alignment [T] of a prompt; of a clip that is still to be spoken, nothing."""
    T = clip.codes.shape[1]
    alignment = torch.empty(0, dtype=torch.int64) if T == 0 else clip.alignment
    if alignment is None or alignment.shape != (T,):
        found = None if alignment is None else tuple(alignment.shape)
        raise ValueError(
            f"the alignment of a prompt must be [T={T}] for a GPT that reads by a pointer, "
            f"but is {found}"
        )
    return alignment


def _pad(parts: Sequence[Tensor]) -> Tensor:
    """Stack int64 tensors [..., T_i], padded with `NO_CODE`."""
    longest = max(part.shape[-1] for part in parts)
    padded = [F.pad(part, (0, longest - part.shape[-1]), value=NO_CODE) for part in parts]
    return torch.stack(padded).long()
