"""Pointer into the texts of utterances while they are spoken.

How long a character lasts is drawn at once: it ends when the chance that it still lasts, by the
model's moves frame by frame, falls below a number drawn for it (inverse transform sampling). So
likelihoods of a move below a half, which taking the likeliest at each frame would never let
happen, add up; and the median duration needs no chance at all. At another rate the pointer follows
a schedule, its own at rate 1 stretched: where the head is sure, no factor on its chances would be
one on durations (1.4 on their hazard made speech 13 % shorter).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gsv2.inference.prompt_fusion import PromptFusion
from gsv2.inference.sampling import SamplingConfig, make_generators
from gsv2.models.gpt.model import SemanticGPT
from gsv2.models.gpt.pointer import MAX_ADVANCE, count_characters, point

_MARGIN = 1e-3
"""Distance of drawn numbers from 0 and 1: no character lasts for ever."""
_SALT = 0x5EED_0001
"""Salt of the seed of these random numbers, which tells them from those of codes."""


class PointerSchedule(NamedTuple):
    """Where pointers into B texts are at each frame."""

    places: Tensor
    """[B, T] int64 character that is spoken; the last one's again at padding."""
    lengths: Tensor
    """[B] int64 frames."""
    ended: Tensor
    """[B] bool: the whole text is spoken then."""

    @property
    def most(self) -> Tensor:
        """[B] int64 frames at which speech is cut; one that has ended before is not."""
        return self.lengths + self.ended.long()


def stretch_pointers(
    places: Tensor, lengths: Tensor, ended: Tensor, rate: float
) -> PointerSchedule:
    """Return the schedule of pointers that go through the same characters faster by a factor.

    Each frame takes the character in the middle of what it stands for. No character is skipped:
    a frame moves on by two at most, and two share one where that is too fast.

    Args:
        places: [B, T] int64, rising by 0 to `MAX_ADVANCE` a frame.
        lengths: [B] int64 frames.
        ended: [B] bool: the whole text was spoken.
        rate: speaking rate, above 1 = fewer frames.
    """
    rows = [
        _stretch(row[:length], rate)
        for row, length in zip(places.cpu(), lengths.tolist(), strict=True)
    ]
    counts = torch.tensor([len(row) for row in rows], device=lengths.device)
    padded = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.int64)
    for target, row in zip(padded, rows, strict=True):
        target[: len(row)] = row
        target[len(row) :] = row[-1] if len(row) else 0
    return PointerSchedule(padded.to(places.device), counts, ended)


def _stretch(places: Tensor, rate: float) -> Tensor:
    """Return the places [T'] of one schedule."""
    T = len(places)
    if T == 0:
        return places
    last = int(places[-1])
    fewest = -(-last // MAX_ADVANCE) + 1
    num_frames = max(round(T / rate), fewest)
    middles = ((torch.arange(num_frames) + 0.5) * T / num_frames).long()
    wanted = places[middles].tolist()
    chosen = [0]
    for frame in range(1, num_frames):
        least = last - MAX_ADVANCE * (num_frames - 1 - frame)  # from where the last is in reach
        chosen.append(max(least, min(wanted[frame], chosen[-1] + MAX_ADVANCE)))
    return torch.tensor(chosen)


class TextPointer:
    """Moves through B texts; it skips and repeats nothing, and ends where the text ends."""

    def __init__(
        self,
        model: SemanticGPT,
        texts: Sequence[str],
        sampling: SamplingConfig,
        streams: Sequence[int],
        schedule: PointerSchedule | None = None,
        fusion: PromptFusion | None = None,
    ) -> None:
        self._schedule = schedule
        self._fusion = fusion
        self._frame = 0
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
        if self._schedule is not None:
            self._follow(self._schedule)
            return
        logits = self._head(hidden, step).float()  # [B, A]
        if self._fusion is not None:
            logits = self._fusion.average(logits)
        chances = logits.log_softmax(dim=-1)
        self._survival = self._survival + chances[:, 0]
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

    def _follow(self, schedule: PointerSchedule) -> None:
        """Go on to the next frame of a schedule; past the text where it ends with that."""
        self._before, self._frame = self.place, self._frame + 1
        frame = min(self._frame, schedule.places.shape[1] - 1)
        is_over = (self._frame >= schedule.lengths) & schedule.ended
        self.place = torch.where(is_over, self._num_characters, schedule.places[:, frame])

    def _draw(self) -> tuple[Tensor, Tensor]:
        """Return two numbers [B] in 0..1 for each item, the closer to a half the colder it is."""
        drawn = torch.stack([torch.rand(2, generator=g) for g in self._generators], dim=1)
        shrunk = 0.5 + self._sampling.duration_temperature * (drawn - 0.5)
        stay, far = shrunk.clamp(_MARGIN, 1 - _MARGIN).to(self.place.device)
        return stay, far
