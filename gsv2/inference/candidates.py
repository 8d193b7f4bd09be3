"""Candidates of an utterance: several are drawn, and the one that the aligner reads best is kept.

Sampled codes differ in how clearly they say their text. A judge that knows the text finds the best
of a few, as TorToiSe does with a contrastive model (arXiv:2305.07243, section 3.4); here it is the
aligner of the bundle, by the log-probability that it gives the text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from gsv2.inference.generate import GeneratedCodes, Utterance, generate
from gsv2.inference.prompt_fusion import count_rows
from gsv2.inference.sampling import SamplingConfig
from gsv2.models.aligner.align import align_texts
from gsv2.models.aligner.model import Aligner
from gsv2.models.aligner.viterbi import AlignmentError
from gsv2.models.gpt.model import SemanticGPT
from gsv2.nn.codes import NO_CODE
from gsv2.text.normalize import normalize_text

_MOST_ROWS = 32
"""Rows that are generated at once, whatever the length of a text: bounds the cache."""
_STREAMS_APART = 2**32
"""Distance between the streams of an utterance's candidates: more than a call has utterances."""
_RETRIES_APART = 2**48
"""Distance between the streams of an utterance's retries: more than it has candidates."""
_UNENDED = -1e9
"""Added to the score of a candidate that a cap ended."""


@torch.inference_mode()
def generate_best(
    model: SemanticGPT,
    aligner: Aligner | None,
    utterances: Sequence[Utterance],
    sampling: SamplingConfig,
    *,
    first: int = 0,
    each_step: Callable[[], None] | None = None,
) -> GeneratedCodes:
    """Generate the codes of utterances, the best of `sampling.candidates` of each.

    The first candidate is what `generate` returns. Where none has ended by itself, as many are
    drawn again, `sampling.retries` times at most; where none ever does, the first draw stays.

    Args:
        model: GPT that draws them.
        aligner: judge, of the same quantizer; without one there is one candidate.
        utterances: what to say, at least one.
        sampling: how codes are drawn.
        first: number of the first utterance among those of its text, which share a seed.
        each_step: called before each step; what it raises ends the work.

    Raises:
        TextError: a text has nothing to speak.
        ValueError: there is no utterance, or a prompt's codes are not [K, T].
    """
    numbers = range(first, first + len(utterances))
    made = _draw(model, aligner, utterances, sampling, numbers, each_step)
    num_retries = torch.zeros_like(made.lengths)
    for retry in range(1, sampling.retries + 1):
        missing = (~made.ended).nonzero()[:, 0]
        if len(missing) == 0:
            break
        items = missing.tolist()
        # A stream of its own for each draw, so that a retry is the same in any company.
        drawn = [numbers[item] + retry * _RETRIES_APART for item in items]
        again = _draw(model, aligner, [utterances[i] for i in items], sampling, drawn, each_step)
        num_retries[missing] = retry
        has_ended = again.ended.nonzero()[:, 0]
        places = torch.arange(len(made.lengths), device=missing.device)
        places[missing[has_ended]] = len(places) + has_ended
        made = _join([made, again]).rows(places)
    return made._replace(num_retries=num_retries)


def _draw(
    model: SemanticGPT,
    aligner: Aligner | None,
    utterances: Sequence[Utterance],
    sampling: SamplingConfig,
    numbers: Sequence[int],
    each_step: Callable[[], None] | None,
) -> GeneratedCodes:
    """Return the best candidate of each utterance; `numbers` are those of their streams."""
    count = sampling.candidates
    if aligner is None or count == 1:
        return generate(model, utterances, sampling, numbers, each_step)
    at_once = max(1, _MOST_ROWS // (count * max(map(count_rows, utterances), default=1)))
    kept = []
    for start in range(0, max(len(utterances), 1), at_once):
        items = utterances[start : start + at_once]
        rows = [item for item in items for _ in range(count)]
        own = numbers[start : start + at_once]
        streams = [i + c * _STREAMS_APART for i in own for c in range(count)]
        made = generate(model, rows, sampling, streams, each_step)
        scores = score_codes(aligner, made, [row.text for row in rows])
        best = scores.view(-1, count).argmax(dim=1).to(made.lengths.device)
        kept.append(made.rows(torch.arange(len(items), device=best.device) * count + best))
    return _join(kept)


@torch.inference_mode()
def score_codes(aligner: Aligner, generated: GeneratedCodes, texts: Sequence[str]) -> Tensor:
    """Return [B] float64: log-probability of each text on its likeliest path through the codes.

    -inf where no path exists; far below all others where a cap ended the codes.
    """
    scores = torch.full((len(texts),), -torch.inf, dtype=torch.float64)
    if generated.codes.shape[2] == 0:
        return scores
    normalized = [normalize_text(text) for text in texts]
    paths = align_texts(aligner, generated.codes, generated.lengths, normalized)
    lengths, ended = generated.lengths.tolist(), generated.ended.tolist()
    for i, path in enumerate(paths):
        if not isinstance(path, AlignmentError):
            scores[i] = path.score * lengths[i] + (0.0 if ended[i] else _UNENDED)
    return scores


def _join(parts: Sequence[GeneratedCodes]) -> GeneratedCodes:
    """Concatenate batches, padded to the longest."""
    longest = max(part.codes.shape[2] for part in parts)
    padded = [F.pad(p.codes, (0, longest - p.codes.shape[2]), value=NO_CODE) for p in parts]
    spoken = [
        F.pad(p.characters, (0, longest - p.characters.shape[1]))
        for p in parts
        if p.characters is not None
    ]
    return GeneratedCodes(
        torch.cat(padded),
        torch.cat([part.lengths for part in parts]),
        torch.cat([part.ended for part in parts]),
        torch.cat(spoken) if spoken else None,
    )
