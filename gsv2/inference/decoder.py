"""Decoder of the GPT: prefill, then one step after the other for a batch of utterances.

Bounds and ends are kept on the device; an item that is over draws no more codes, and once half of
the rows are over the backbone runs without them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from gsv2.inference.cached_backbone import CachedBackbone
from gsv2.inference.prompt_fusion import PromptFusion
from gsv2.inference.sampling import Sampler, SamplingConfig
from gsv2.inference.text_pointer import PointerSchedule, TextPointer
from gsv2.inference.utterance import Utterance, embed_utterances, last_prompts
from gsv2.models.gpt.model import SemanticGPT
from gsv2.nn.codes import NO_CODE
from gsv2.text.normalize import normalize_text

_STEPS_A_QUESTION = 8
"""Steps between two questions to a GPU whether all is over; the last ones may be for nothing."""
_UNENDED = 2**40
"""Frames of an item whose end is not known yet: more than any clip has."""


class GeneratedCodes(NamedTuple):
    """The codes of B utterances."""

    codes: Tensor
    """[B, K, T] int64, padded with -1."""
    lengths: Tensor
    """[B] int64 frames."""
    ended: Tensor
    """[B] bool: the model ended it; False = the cap of `SamplingConfig` did."""
    characters: Tensor | None = None
    """[B, T] int64 character of the text (as `normalize_text` returns it) that is spoken at each
    frame; None unless a pointer reads."""
    num_retries: Tensor | None = None
    """[B] int64 times that the utterance was drawn again, since nothing had ended; None = 0."""

    def rows(self, chosen: Tensor) -> GeneratedCodes:
        """Return the utterances of the given rows [B'] int64."""
        chosen = chosen.to(self.lengths.device)
        codes, lengths, ended, *others = self
        return GeneratedCodes(
            codes[chosen],
            lengths[chosen],
            ended[chosen],
            *(x if x is None else x[chosen] for x in others),
        )


class Decoder:
    """The state of one call of `generate`."""

    def __init__(
        self,
        model: SemanticGPT,
        utterances: Sequence[Utterance],
        sampling: SamplingConfig,
        streams: Sequence[int],
        schedule: PointerSchedule | None = None,
        fusion: PromptFusion | None = None,
    ) -> None:
        self.model = model
        self.fusion = fusion
        self.sampler = Sampler(sampling, streams)
        texts = [normalize_text(item.text) for item in utterances]
        self.inputs, self.mask = embed_utterances(model, utterances)
        self.pointer = (
            TextPointer(model, texts, sampling, streams, schedule, fusion)
            if model.has_pointer
            else None
        )
        device = self.inputs.device
        num_bytes = torch.tensor([len(text.encode()) for text in texts])
        least, most = sampling.frame_bounds(num_bytes, model.config.codes.rate_hz)
        if schedule is not None:
            most = schedule.most
        self.least, self.most = least.to(device), most.to(device)
        if model.pattern.refined:
            self._prompts = last_prompts(utterances, model.pattern.num_codebooks).to(device)
        self.lengths = torch.full_like(self.most, _UNENDED)
        self.ended = torch.zeros_like(self.most, dtype=torch.bool)
        self.drawn: list[list[Tensor]] = [[] for _ in range(model.pattern.num_codebooks)]
        self.frames: list[int] = []
        self._rows: Tensor | None = None  # items that go on; None = all
        self._steps: list[Tensor] = []  # [B, K] each
        self._spoken: list[Tensor] = []  # [B] each: character of a frame
        self._after: list[Tensor] = []  # [B, D] each: output after a frame

    def run(self, each_step: Callable[[], None] | None = None) -> GeneratedCodes:
        """Prefill, then one step after the other until every item has all its codes.

        Args:
            each_step: called before each step; what it raises ends the work.
        """
        for _ in self.steps(each_step):
            pass
        return self.finish()

    def finish(self) -> GeneratedCodes:
        """Return what was drawn, when all steps are taken."""
        codes = self.join(int(self.lengths.max()))
        if self.model.pattern.refined and self._after:
            outputs = torch.stack(self._after, dim=1)[:, : codes.shape[2]]
            codes = self.model.refiner.fill(outputs, codes, self.lengths, self._prompts)
        spoken = self._spoken
        characters = torch.stack(spoken, dim=1)[:, : codes.shape[2]] if spoken else None
        return GeneratedCodes(codes, self.lengths, self.ended, characters)

    def steps(self, each_step: Callable[[], None] | None = None) -> Iterator[int]:
        """Take one step after the other; yield how many were taken.

        Whether all is over is asked of a GPU now and then only: each question waits for it.
        """
        pattern = self.model.pattern
        stream = CachedBackbone(self.model, self.mask)
        hidden = stream(self.inputs)
        every = _steps_a_question(hidden)
        while True:
            if each_step is not None:
                each_step()
            if self.pointer is not None and len(self._steps) % pattern.stride == 0:
                self._spoken.append(self.pointer.place)
            self.frames = pattern.frames_of(len(self._steps))
            chosen = self.model.head.choose(hidden, self._choose_rows)
            self._steps.append(self._spread(chosen, NO_CODE))
            yield len(self._steps)
            kept = self._rows_left() if len(self._steps) % every == 0 else None
            if kept is not None and len(kept) == 0:
                return
            inputs = self._next_inputs(hidden)
            if kept is not None and 2 * len(kept) <= len(inputs):
                stream.keep(kept)
                inputs, self._rows = inputs[kept], self._number(kept)
            hidden = stream(inputs)
            if pattern.refined:
                self._after.append(self._spread(hidden, 0))

    def join(self, num_frames: int) -> Tensor:
        """Return the codes [B, K, T] of the first frames, without those that a refiner adds."""
        steps = torch.stack(self._steps, dim=2)
        missing = self.model.pattern.num_codebooks - steps.shape[1]
        steps = F.pad(steps, (0, 0, 0, missing), value=NO_CODE)
        return self.model.pattern.to_codes(steps, self.lengths.clamp(max=num_frames))

    def _next_inputs(self, hidden: Tensor) -> Tensor:
        """Return the inputs [B', 1, D] after outputs [B', D] and the codes drawn from them."""
        inputs = self.model.embed_steps(self._of_rows(self._steps[-1])[:, :, None])
        if self.pointer is None:
            return inputs
        if len(self._steps) % self.model.pattern.stride == 0:  # the last step of a frame
            self.pointer.move(self._spread(hidden, 0), self._spread(inputs[:, 0], 0))
        return inputs + self._of_rows(self.pointer.vectors())

    def _rows_left(self) -> Tensor:
        """Return the places, among the rows that went on so far, of those that need more steps."""
        needed = self.model.pattern.num_steps(self._of_rows(self.lengths))
        return (len(self._steps) < needed).nonzero()[:, 0]

    def _number(self, kept: Tensor) -> Tensor:
        """Return the items of rows at places among those that went on so far."""
        return kept if self._rows is None else self._rows[kept]

    def _choose_rows(self, codebook: int, logits: Tensor) -> Tensor:
        """Draw the codes of the rows that go on."""
        return self._of_rows(self._choose(codebook, self._spread(logits, 0)))

    def _of_rows(self, values: Tensor) -> Tensor:
        """Return what of values [B, ...] is of the rows that go on."""
        return values if self._rows is None else values[self._rows]

    def _spread(self, values: Tensor, filler: float) -> Tensor:
        """Return values of the rows that go on as [B, ...], filled up for the others."""
        if self._rows is None:
            return values
        spread = values.new_full((len(self.lengths), *values.shape[1:]), filler)
        return spread.index_copy(0, self._rows, values)

    def _choose(self, codebook: int, logits: Tensor) -> Tensor:
        """Draw the codes [B] of one codebook, and note which items end here."""
        frame = self.frames[codebook]
        if frame < 0:
            return torch.full_like(self.lengths, NO_CODE)
        if self.fusion is not None:
            logits = self.fusion.average(logits)
        must_end = self._must_end(frame) if codebook == 0 else None
        if must_end is not None:
            logits = self._bound(logits, frame, must_end)
        drawn = self.sampler.draw(logits, self.drawn[codebook])
        if must_end is not None:
            # Said again, beside the logits: of NaN no draw is forbidden.
            drawn = drawn.masked_fill(must_end, self.model.end)
            ends = (drawn == self.model.end) & (self.lengths > frame)
            self.lengths = torch.where(ends, frame, self.lengths)
            self.ended |= ends & (frame < self.most)
        drawn = drawn.masked_fill(self.lengths <= frame, NO_CODE)
        self.drawn[codebook].append(drawn)
        return drawn

    def _bound(self, logits: Tensor, frame: int, must_end: Tensor) -> Tensor:
        """Forbid the end before the least frames, and all else where it must be: [B] bool.

        With a pointer the end comes where the text ends, and nowhere else.
        """
        is_end = torch.arange(logits.shape[1], device=logits.device) == self.model.end
        may_not = frame < self.least if self.pointer is None else ~must_end
        forbidden = torch.where(must_end[:, None], ~is_end, is_end & may_not[:, None])
        return logits.masked_fill(forbidden, -torch.inf)

    def _must_end(self, frame: int) -> Tensor:
        """Tell which items [B] may not have the frame any more."""
        is_over = frame >= self.most
        return is_over if self.pointer is None else is_over | self.pointer.is_past


def _steps_a_question(hidden: Tensor) -> int:
    """Return the steps between two questions whether all is over, which a GPU should not hear."""
    return _STEPS_A_QUESTION if hidden.is_cuda else 1
