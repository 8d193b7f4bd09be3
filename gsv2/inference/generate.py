"""Generation of codes from text and prompts, in batches that end early."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gsv2.inference.cached_backbone import CachedBackbone
from gsv2.inference.prompt_fusion import PromptFusion, count_rows, spread
from gsv2.inference.sampling import Sampler, SamplingConfig
from gsv2.inference.text_pointer import PointerSchedule, TextPointer, stretch_pointers
from gsv2.inference.utterance import Prompt as Prompt
from gsv2.inference.utterance import Utterance as Utterance
from gsv2.inference.utterance import embed_utterances
from gsv2.models.gpt.model import SemanticGPT
from gsv2.nn.codes import NO_CODE
from gsv2.text.normalize import normalize_text

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

    def rows(self, chosen: Tensor) -> GeneratedCodes:
        """Return the utterances of the given rows [B'] int64."""
        chosen = chosen.to(self.lengths.device)
        spoken = None if self.characters is None else self.characters[chosen]
        return GeneratedCodes(self.codes[chosen], self.lengths[chosen], self.ended[chosen], spoken)


@torch.inference_mode()
def generate(
    model: SemanticGPT,
    utterances: Sequence[Utterance],
    sampling: SamplingConfig,
    streams: Sequence[int] | None = None,
    each_step: Callable[[], None] | None = None,
) -> GeneratedCodes:
    """Generate the codes of a batch of utterances.

    Args:
        model: GPT on its device; its mode stays what it is.
        utterances: what to say, at least one.
        sampling: how codes are drawn.
        streams: numbers that stand for i in `SamplingConfig.seed`, one an utterance, for calls
            that share the work of one; None = 0, 1, ...
        each_step: called before each step; what it raises ends the work.

    Raises:
        TextError: a text has nothing to speak.
        ValueError: there is no utterance, or a prompt's codes are not [K, T].
    """
    if not utterances:
        raise ValueError("generate needs at least one utterance, but got none")
    was_training = model.training
    model.eval()
    try:
        rows, numbers, fusion = _spread(utterances, streams or range(len(utterances)))
        made = _Decoder(model, rows, sampling, numbers, fusion=fusion).run(each_step)
        if made.characters is not None and sampling.speaking_rate != 1:
            schedule = stretch_pointers(
                made.characters, made.lengths, made.ended, sampling.speaking_rate
            )
            made = _Decoder(model, rows, sampling, numbers, schedule, fusion).run(each_step)
        return made if fusion is None else made.rows(fusion.first_rows)
    finally:
        model.train(was_training)


def _spread(
    utterances: Sequence[Utterance], streams: Sequence[int]
) -> tuple[list[Utterance], list[int], PromptFusion | None]:
    """Return a row for each prompt that is heard alone, its stream, and how rows are averaged."""
    counts = [count_rows(utterance) for utterance in utterances]
    if max(counts) == 1:
        return list(utterances), list(streams), None
    rows, weights = [], []
    for utterance in utterances:
        if not utterance.prompt_weights:
            rows.append(utterance)
            weights.append(1.0)
        for prompt, weight in zip(utterance.prompts, utterance.prompt_weights, strict=False):
            rows.append(Utterance(text=utterance.text, prompts=(prompt,)))
            weights.append(weight)
    return rows, spread(streams, counts), PromptFusion(counts, weights)


class _Decoder:
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
        self.lengths = torch.full_like(self.most, _UNENDED)
        self.ended = torch.zeros_like(self.most, dtype=torch.bool)
        self.drawn: list[list[Tensor]] = [[] for _ in range(model.pattern.num_codebooks)]
        self.frames: list[int] = []

    def run(self, each_step: Callable[[], None] | None = None) -> GeneratedCodes:
        """Prefill, then one step after the other until every item has all its codes."""
        pattern = self.model.pattern
        stream = CachedBackbone(self.model, self.mask)
        hidden = stream(self.inputs)
        steps: list[Tensor] = []
        spoken: list[Tensor] = []
        while True:
            if each_step is not None:
                each_step()
            if self.pointer is not None and len(steps) % pattern.stride == 0:
                spoken.append(self.pointer.place)
            self.frames = pattern.frames_at(torch.tensor([len(steps)]))[:, 0].tolist()
            steps.append(self.model.head.choose(hidden, self._choose))
            if bool((len(steps) >= pattern.num_steps(self.lengths)).all()):
                break
            inputs = self.model.embed_steps(steps[-1][:, :, None])
            if self.pointer is not None:
                if len(steps) % pattern.stride == 0:  # the last step of a frame
                    self.pointer.move(hidden, inputs[:, 0])
                inputs = inputs + self.pointer.vectors()
            hidden = stream(inputs)
        codes = pattern.to_codes(torch.stack(steps, dim=2), self.lengths)
        characters = torch.stack(spoken, dim=1)[:, : codes.shape[2]] if spoken else None
        return GeneratedCodes(codes, self.lengths, self.ended, characters)

    def _choose(self, codebook: int, logits: Tensor) -> Tensor:
        """Draw the codes [B] of one codebook, and note which items end here."""
        frame = self.frames[codebook]
        nothing = torch.full_like(self.lengths, NO_CODE)
        if frame < 0:
            return nothing
        if self.fusion is not None:
            logits = self.fusion.average(logits)
        if codebook == 0:
            logits = self._bound(logits, frame)
        drawn = self.sampler.draw(logits, self.drawn[codebook])
        if codebook == 0:
            # Said again, beside the logits: of NaN no draw is forbidden.
            drawn = drawn.masked_fill(self._must_end(frame), self.model.end)
            ends = (drawn == self.model.end) & (self.lengths > frame)
            self.lengths = torch.where(ends, frame, self.lengths)
            self.ended |= ends & (frame < self.most)
        drawn = torch.where(frame < self.lengths, drawn, nothing)
        self.drawn[codebook].append(drawn)
        return drawn

    def _bound(self, logits: Tensor, frame: int) -> Tensor:
        """Forbid the end before the least frames, and all else after the most.

        With a pointer the end comes where the text ends, and nowhere else.
        """
        is_end = torch.arange(logits.shape[1], device=logits.device) == self.model.end
        must_end = self._must_end(frame)
        may_not = frame < self.least if self.pointer is None else ~must_end
        forbidden = torch.where(must_end[:, None], ~is_end, is_end & may_not[:, None])
        return logits.masked_fill(forbidden, -torch.inf)

    def _must_end(self, frame: int) -> Tensor:
        """Tell which items [B] may not have the frame any more."""
        is_over = frame >= self.most
        return is_over if self.pointer is None else is_over | self.pointer.is_past
