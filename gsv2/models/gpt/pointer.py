"""Pointer into the text: the character being spoken at each frame, and how far it moves on.

Attention has to find out by itself which character is next, which takes a model hours to learn.
With a pointer the input that predicts a frame also holds the vector of the character that is
spoken there, and a head says how many characters the next frame moves on. In training the pointer
follows the alignment (`gsv2.models.aligner`); in generation the head moves it, so that nothing is
skipped, repeated or spoken beyond the text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gsv2.nn.gated_convolution import GatedConvolution

ReadingName = Literal["attention", "pointer", "both"]
MAX_ADVANCE = 2
"""Most characters from one frame to the next: what the aligner's half frames can tell apart."""
_START_STD = 0.02
_FOLLOWING_BYTES = (0x80, 0xC0)
"""Bytes of a character after its first, in UTF-8: from, to."""


@dataclass(frozen=True, kw_only=True)
class PointerConfig:
    """The gated convolutions that turn the bytes of a text into vectors of its characters."""

    num_blocks: int = 3
    """Number of convolutions."""
    kernel_size: int = 5
    """Kernel size of the convolutions, in bytes; odd."""
    dropout: float = 0.0
    """Share of each block's output that training drops."""

    def __post_init__(self) -> None:
        """Check the values that no type can."""
        if self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, but is {self.kernel_size}")
        if self.num_blocks < 0:
            raise ValueError(f"num_blocks must be at least 0, but is {self.num_blocks}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be 0 to 1, but is {self.dropout}")


class CharacterReader(nn.Module):
    """Vectors of the characters of texts, and of what comes after the last one."""

    def __init__(self, dim: int, config: PointerConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            GatedConvolution(dim, config.kernel_size, config.dropout)
            for _ in range(config.num_blocks)
        )
        self.past = nn.Parameter(torch.randn(dim) * _START_STD)

    def forward(self, byte_vectors: Tensor, ids: Tensor) -> Tensor:
        """Return the vectors of characters: each that of its first byte, which sees the others.

        Args:
            byte_vectors: [C, S, D].
            ids: [C, S] int64 bytes of UTF-8, negative at padding.

        Returns:
            [C, S + 1, D]: character by character, then `past`; zero beyond.
        """
        mask = ids >= 0
        hidden = byte_vectors * mask.unsqueeze(-1)
        for block in self.blocks:
            hidden = block(hidden, mask)
        is_first = _is_first_byte(ids)
        order = is_first.logical_not().byte().argsort(dim=1, stable=True)  # first bytes come first
        characters = hidden.gather(1, order.unsqueeze(-1).expand_as(hidden))
        places = torch.arange(ids.shape[1] + 1, device=ids.device)
        counts = is_first.sum(dim=1, keepdim=True)
        characters = F.pad(characters, (0, 0, 0, 1))
        characters = characters * (places < counts).unsqueeze(-1)
        return torch.where((places == counts).unsqueeze(-1), self.past, characters)


class AdvanceHead(nn.Module):
    """How many characters the pointer moves on after a frame, 0 to `MAX_ADVANCE`."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(2 * dim, dim)
        self.output = nn.Linear(dim, MAX_ADVANCE + 1)

    def forward(self, hidden: Tensor, step: Tensor) -> Tensor:
        """Return the logits.

        Args:
            hidden: [N, D] outputs of the backbone that predict the last step of a frame.
            step: [N, D] inputs that the codes of that step make.

        Returns:
            [N, MAX_ADVANCE + 1].
        """
        return self.output(F.silu(self.hidden(torch.cat([hidden, step], dim=-1))))


class PointerTargets(NamedTuple):
    """Inputs and targets of a pointer that follows the alignments of C clips."""

    vectors: Tensor
    """[C, P, D] vectors of the character that each step speaks, and of what follows the text."""
    moves: Tensor
    """[C, T] int64: characters that it moves on after each frame; anything at padding."""


class Pointer(nn.Module):
    """Where a clip is in its text, and where it goes next."""

    def __init__(self, dim: int, config: PointerConfig) -> None:
        super().__init__()
        self.reader = CharacterReader(dim, config)
        self.advance = AdvanceHead(dim)

    def follow(
        self,
        characters: Tensor,
        num_characters: Tensor,
        alignments: Tensor,
        code_lengths: Tensor,
        frames: Tensor,
    ) -> PointerTargets:
        """Follow alignments.

        Args:
            characters: [C, J, D] of the `reader`.
            num_characters: [C] int64.
            alignments: [C, T] int64.
            code_lengths: [C] int64.
            frames: [P] int64 frame of each step.
        """
        pointers = frame_pointers(alignments, code_lengths, num_characters)  # [C, T + 1]
        vectors = point(characters, pointers, F.pad(pointers[:, :-1], (1, 0), value=-1))
        moves = pointers.diff(dim=1).clamp(0, MAX_ADVANCE)
        return PointerTargets(vectors[:, frames.clamp(max=alignments.shape[1])], moves)


def count_characters(ids: Tensor) -> Tensor:
    """Return the characters [C] int64 of texts in bytes [C, S], negative at padding."""
    return _is_first_byte(ids).sum(dim=1)


def frame_pointers(alignments: Tensor, code_lengths: Tensor, num_characters: Tensor) -> Tensor:
    """Return the pointer at each frame, and after the last.

    Args:
        alignments: [C, T] int64 character spoken at each frame; anything at padding.
        code_lengths: [C] int64.
        num_characters: [C] int64.

    Returns:
        [C, T + 1] int64; from the end of a clip on `num_characters`, which is past the text. A
        clip without frames points at its first character, which is to be spoken.
    """
    places = torch.arange(alignments.shape[1] + 1, device=alignments.device)
    ends = torch.where(code_lengths > 0, num_characters, 0)
    is_spoken = places < code_lengths[:, None]
    return torch.where(is_spoken, F.pad(alignments, (0, 1)), ends[:, None])


def point(characters: Tensor, pointers: Tensor, before: Tensor) -> Tensor:
    """Return the vectors of the characters that pointers have come to.

    A pointer that has moved on by two has the mean of both, so that no character is passed over.

    Args:
        characters: [C, J, D], see `CharacterReader`.
        pointers: [C, P] int64.
        before: [C, P] int64: where each was a frame before; -1 before the first frame.

    Returns:
        [C, P, D].
    """
    at, at_last = (_take(characters, places) for places in (pointers, (pointers - 1).clamp(min=0)))
    is_two = (pointers - before >= MAX_ADVANCE).unsqueeze(-1)
    return torch.where(is_two, (at + at_last) / 2, at)


def _take(characters: Tensor, places: Tensor) -> Tensor:
    return characters.gather(1, places.unsqueeze(-1).expand(-1, -1, characters.shape[2]))


def _is_first_byte(ids: Tensor) -> Tensor:
    """Tell which bytes [C, S] begin a character; no padding does."""
    start, stop = _FOLLOWING_BYTES
    return (ids >= 0) & ((ids < start) | (ids >= stop))
