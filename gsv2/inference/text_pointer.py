"""Pointer into the texts of utterances while they are spoken.

How long a character lasts is drawn at once: it ends when the chance that it still lasts, by the
model's moves frame by frame, falls below a number drawn for it (inverse transform sampling). So
likelihoods of a move below a half, which taking the likeliest at each frame would never let
happen, add up; the median duration needs no chance at all; and a rate multiplies the hazard.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gsv2.inference.sampling import SamplingConfig, make_generators
from gsv2.models.gpt.model import SemanticGPT
from gsv2.models.gpt.pointer import MAX_ADVANCE, count_characters, point

_MARGIN = 1e-3
"""Distance of drawn numbers from 0 and 1: no character lasts for ever."""
_SALT = 0x5EED_0001
"""Salt of the seed of these random numbers, which tells them from those of codes."""


class TextPointer:
    """Moves through B texts; it skips and repeats nothing, and ends where the text ends."""

    def __init__(
        self,
        model: SemanticGPT,
        texts: Sequence[str],
        sampling: SamplingConfig,
        streams: Sequence[int],
    ) -> None:
        ids = model.text_encoder.tokenize(texts).ids.to(model.text_start.device)
        self._head = model.pointer.advance
        self._characters = model.pointer.reader(model.text_encoder(ids), ids)
        self._num_characters = count_characters(ids)
        self._sampling = sampling
        self._most_here = max(1, round(sampling.max_character_sec * model.config.codes.rate_hz))
        self._generators = make_generators(sampling.seed ^ _SALT, streams)
        self.place = torch.zeros_like(self._num_characters)
        """[B] int64 character that the next frame speaks; their number when all were spoken."""
        self._before = self.place - 1
        self._num_here = torch.zeros_like(self.place)  # frames since the last move
        self._survival = torch.zeros(len(texts), device=ids.device)  # log of the chance to stay
        self._drawn = self._draw()

    @property
    def is_past(self) -> Tensor:
        """[B] bool: whether the whole text was spoken."""
        return self.place >= self._num_characters

    def vectors(self) -> Tensor:
        """Return the vectors [B, 1, D] of the characters that the next frame speaks."""
        return point(self._characters, self.place[:, None], self._before[:, None])

    def move(self, hidden: Tensor, step: Tensor) -> None:
        """Go on to the next frame, see `AdvanceHead`.

        Args:
            hidden: [B, D] outputs that predicted the last step of this frame.
            step: [B, D] inputs that its codes make.
        """
        chances = self._head(hidden, step).float().log_softmax(dim=-1)  # [B, A]
        self._survival = self._survival + chances[:, 0] * self._sampling.speaking_rate
        self._num_here = self._num_here + 1
        stay, far = self._drawn
        is_over = self._survival < stay.log()
        moves = is_over | (self._num_here >= self._most_here)
        moved = chances[:, 1:].exp()
        is_far = moved[:, 1:].sum(dim=1) > far * moved.sum(dim=1)
        distance = torch.where(is_far & is_over, MAX_ADVANCE, 1)
        last = self._num_characters - 1
        # The last character too has a frame of its own: nothing is skipped.
        further = torch.where(
            self.place < last, torch.minimum(self.place + distance, last), last + 1
        )
        self._before = self.place
        self.place = torch.where(moves, further, self.place)
        self._survival = torch.where(moves, 0.0, self._survival)
        self._num_here = torch.where(moves, 0, self._num_here)
        drawn = self._draw()
        self._drawn = (torch.where(moves, drawn[0], stay), drawn[1])

    def _draw(self) -> tuple[Tensor, Tensor]:
        """Return two numbers [B] in 0..1 for each item, the closer to a half the colder it is."""
        drawn = torch.stack([torch.rand(2, generator=g) for g in self._generators], dim=1)
        shrunk = 0.5 + self._sampling.duration_temperature * (drawn - 0.5)
        stay, far = shrunk.clamp(_MARGIN, 1 - _MARGIN).to(self.place.device)
        return stay, far
