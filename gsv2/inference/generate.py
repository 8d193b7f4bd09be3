"""Generation of codes from text and prompts: whole batches, or one utterance frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from gsv2.inference.decoder import Decoder, GeneratedCodes
from gsv2.inference.prompt_fusion import PromptFusion, count_rows, spread
from gsv2.inference.sampling import SamplingConfig
from gsv2.inference.text_pointer import stretch_pointers
from gsv2.inference.utterance import Prompt, Utterance, embed_utterances
from gsv2.models.gpt.model import SemanticGPT

__all__ = [
    "GeneratedCodes",
    "Prompt",
    "Utterance",
    "embed_utterances",
    "generate",
    "generate_frames",
]


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
    with _evaluating(model):
        numbers = streams or range(len(utterances))
        decoder = _make_decoder(model, utterances, sampling, numbers, each_step)
        return _of_utterances(decoder.run(each_step), decoder.fusion)


@torch.inference_mode()
def generate_frames(
    model: SemanticGPT,
    utterance: Utterance,
    sampling: SamplingConfig,
    stream: int = 0,
    each_step: Callable[[], None] | None = None,
) -> Generator[Tensor, None, GeneratedCodes]:
    """Yield the codes of an utterance frame by frame, each as soon as it is whole.

    They are those that `generate` returns, and so is what the generator returns at its end. With
    the pattern `nar` no frame is whole before the end, and at another speaking rate than 1 all
    moves of the pointer are made first.

    Args:
        model: see `generate`.
        utterance: what to say.
        sampling: how codes are drawn.
        stream: number that stands for i in `SamplingConfig.seed`.
        each_step: called before each step; what it raises ends the work.

    Yields:
        [K] int64.

    Raises:
        TextError: as `generate`.
        ValueError: as `generate`.
    """
    with _evaluating(model):
        decoder = _make_decoder(model, [utterance], sampling, [stream], each_step)
        is_refined, num_yielded = model.pattern.refined, 0
        for num_steps in decoder.steps(each_step):
            whole = min(model.pattern.num_whole_frames(num_steps), int(decoder.lengths[0]))
            if whole > num_yielded and not is_refined:
                yield from decoder.join(whole)[0, :, num_yielded:].T
                num_yielded = whole
        made = _of_utterances(decoder.finish(), decoder.fusion)
        if is_refined:
            yield from made.codes[0].T
        return made


def _of_utterances(made: GeneratedCodes, fusion: PromptFusion | None) -> GeneratedCodes:
    """Return the codes of utterances, of which each may have several rows."""
    return made if fusion is None else made.rows(fusion.first_rows)


@contextmanager
def _evaluating(model: SemanticGPT) -> Iterator[None]:
    """Put a model into evaluation mode inside."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def _make_decoder(
    model: SemanticGPT,
    utterances: Sequence[Utterance],
    sampling: SamplingConfig,
    streams: Sequence[int],
    each_step: Callable[[], None] | None = None,
) -> Decoder:
    """Return a decoder, whose pointer follows a schedule if the speaking rate asks for one."""
    rows, numbers, fusion = _spread(utterances, streams)
    decoder = Decoder(model, rows, sampling, numbers, fusion=fusion)
    if not model.has_pointer or sampling.speaking_rate == 1:
        return decoder
    made = decoder.run(each_step)
    assert made.characters is not None, "a pointer reads"
    schedule = stretch_pointers(made.characters, made.lengths, made.ended, sampling.speaking_rate)
    return Decoder(model, rows, sampling, numbers, schedule, fusion)


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
