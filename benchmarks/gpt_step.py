"""BENCHMARKS rows 5 and 6: a training step of the GPT against transformers' Qwen2.

    python -m benchmarks.gpt_step [--layers 24] [--dim 512] [--tokens 2048]
        [--quick] [--rounds 7] [--out runs/bench]

One codebook, one thread, real tokens per CPU second of forward, backward and fused AdamW. Clips of
spread (3 to 30 s) and of tight lengths (5 to 8 s); ours and transformers' packed row hold the same
clips end to end, its padded batch a row each. Losses of the three are asserted to be equal first.
The use is the step's floating-point operations on real tokens (gsv2.models.gpt.flops) by its time
and by the speed of a matrix product in the same run. Row 6 compares uses, since GPT-SoVITS's code
stays out: its text-to-semantic decoder of 24 layers of 512 with ScaledAdam had .27 on spread and
.41 on tight lengths (BENCHMARKS.md; 95 and 146 tokens/s).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.gpt_peers import CODES, TransformersGPT, make_gpt, packed, padded
from benchmarks.harness import Row, ratios
from benchmarks.options import option_parser, options_of
from gsv2.losses.code_prediction import code_prediction_loss
from gsv2.models.gpt.flops import count_gpt_flops
from gsv2.models.gpt.interleave import NUM_STARTS, PackedRows
from gsv2.models.gpt.model import GPTInputs, SemanticGPT

MIN_PADDED, MIN_PACKED, MIN_USE = 1.5, 1.1, 0.65
LENGTHS = {"spread": (3.0, 30.0), "tight": (5.0, 8.0)}
"""Seconds of clips, drawn evenly."""
GPT_SOVITS = {"spread": (0.27, 2.0), "tight": (0.41, 1.5)}
"""Use of GPT-SoVITS's step, and by how much ours should be more."""
_BYTES_PER_SEC = 15.0
_LR = 1e-5
_TOLERANCE = 1e-4
_PEAK = "fp32 matrix product, GFLOP/s"


def main() -> None:
    """Measure and report."""
    parser = option_parser(__doc__)
    parser.add_argument("--layers", type=int, default=24, help="default: 24")
    parser.add_argument("--dim", type=int, default=512, help="default: 512")
    parser.add_argument("--tokens", type=int, default=2048, help="of a row; default: 2048")
    options, given = options_of(parser)
    if options.quick:
        given.layers, given.dim = 2, 64
    with Row(5, "GPT training step", options) as row:
        row.note(f"{given.layers} layers of {given.dim}, one row of {given.tokens} tokens.")
        for name in LENGTHS:
            measure(row, name, make_gpt(given.layers, given.dim), given.tokens)
        row.note(
            "GPT-SoVITS's uses stand in BENCHMARKS.md and were measured on another machine; a use "
            "is a share of its machine's own matrix product."
        )


def measure(row: Row, name: str, ours: SemanticGPT, tokens: int) -> None:
    """Report the steps on clips of one kind of lengths."""
    clips = draw_clips(LENGTHS[name], tokens)
    rows = PackedRows(torch.zeros_like(clips.sequence), 1, tokens)
    theirs = [TransformersGPT(ours) for _ in range(2)]
    forms = (padded(clips), packed(clips))
    losses = [lambda: our_loss(ours, clips, rows)]
    losses += [lambda m=m, form=form: m(form) for m, form in zip(theirs, forms, strict=True)]
    with torch.no_grad():
        found = [loss().item() for loss in losses]
    assert max(found) - min(found) < _TOLERANCE, found
    names = ("gsv2", "transformers padded", "transformers packed")
    models = (ours, *theirs)
    steps = zip(names, map(training_step, models, losses), strict=True)
    times = row.alternate(dict(steps))
    real = int(token_counts(clips).sum())
    for contender, seconds in times.items():
        row.rate(f"{name}: {contender}", seconds, real, "real tokens/s")
    for contender, bound in zip(names[1:], (MIN_PADDED, MIN_PACKED), strict=True):
        faster = ratios(times[contender], times["gsv2"])
        row.target(f"{name}: {contender} / gsv2", faster, at_least=bound)
    peak = 1e9 * row.before[_PEAK]
    use = [step_flops(ours, clips) / seconds / peak for seconds in times["gsv2"]]
    row.target(f"{name}: use of gsv2", use, at_least=MIN_USE)
    theirs_use, bound = GPT_SOVITS[name]
    row.target(
        f"{name}: row 6, use of gsv2 / of GPT-SoVITS", [u / theirs_use for u in use], at_least=bound
    )


def our_loss(model: SemanticGPT, clips: GPTInputs, rows: PackedRows) -> Tensor:
    """Return the loss [] of a packed row."""
    output = model(clips, rows)
    return code_prediction_loss(output.logits, output.targets, (1.0,), model.end).loss


def training_step(model: nn.Module, loss: Callable[[], Tensor]) -> Callable[[], None]:
    """Return a step of AdamW on one batch."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=_LR, fused=True)

    def step() -> None:
        loss().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def draw_clips(bounds: tuple[float, float], tokens: int) -> GPTInputs:
    """Return clips that fill a row but for its last tokens, each a sequence."""
    rng = torch.Generator().manual_seed(1)
    text: list[int] = []
    frames: list[int] = []
    while True:
        seconds = bounds[0] + float(torch.rand((), generator=rng)) * (bounds[1] - bounds[0])
        size = int(seconds * _BYTES_PER_SEC), int(seconds * CODES.rate_hz)
        if sum(text) + sum(frames) + sum(size) + NUM_STARTS * (len(text) + 1) > tokens:
            break
        text.append(size[0])
        frames.append(size[1])
    C = len(text)
    return GPTInputs(
        torch.randint(256, (C, max(text)), generator=rng),
        torch.tensor(text),
        torch.randint(CODES.codebook_size, (C, 1, max(frames)), generator=rng),
        torch.tensor(frames),
        torch.arange(C),
    )


def token_counts(clips: GPTInputs) -> Tensor:
    """Return the tokens [C] of each clip."""
    return NUM_STARTS + clips.text_lengths + clips.code_lengths


def step_flops(model: SemanticGPT, clips: GPTInputs) -> float:
    """Return the floating-point operations of a step."""
    frames, C = int(clips.code_lengths.sum()), len(clips.sequence)
    return count_gpt_flops(model).total(token_counts(clips), frames, frames + C, [frames + C])


if __name__ == "__main__":
    main()
