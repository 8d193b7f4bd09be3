"""BENCHMARKS row 13: steps of the quantizer, and what its codebooks reach, against the library's.

    python -m benchmarks.quantizer [--steps 400] [--quick] [--rounds 7] [--out runs/bench]

Ours: `Quantizer` with two residual codebooks, as `configs/quantizer/small.yaml` starts and moves
them. Peer: the same encoder, decoder, losses, batches and learning rate around
vector_quantize_pytorch's `ResidualVQ` as it comes, moving its codebooks in its forward pass. Both
begin from the same weights and train for as many steps; then perplexity / V and the share of the
held-out features' variance that is not explained. Features are smooth walks of a few dimensions
seen through a fixed random network: correlated and uneven, as speech features are.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from vector_quantize_pytorch import ResidualVQ

from benchmarks.harness import Row, ratios
from benchmarks.options import option_parser, options_of
from gsv2.audio.speech_encoders.interface import SpeechFeatures
from gsv2.losses.codebook import count_codes, masked_mse, perplexity, unexplained_variance
from gsv2.models.quantizer.model import Quantizer, QuantizerConfig
from gsv2.nn.codes import CodeConfig

MIN_PERPLEXITY = 0.5
MIN_SPEED = 1.0
MAX_ERROR = 1.0
_CODES = CodeConfig(levels=2, codebook_size=256, dim=32)
_CONFIG = QuantizerConfig(codes=_CODES, width=128, num_blocks=1, kernel_size=5)
_FRAMES, _CLIPS = 400, 4
_LR = 1e-3
_HIDDEN = 12
"""Dimensions of the walks behind the features."""
_STEPS_OF_ROUND = 10


class LibraryQuantizer(nn.Module):
    """The quantizer's own encoder and decoder around the library's codebooks."""

    def __init__(self, ours: Quantizer) -> None:
        super().__init__()
        self.parts = copy.deepcopy(ours)
        self.vq = ResidualVQ(
            dim=_CODES.dim, num_quantizers=_CODES.levels, codebook_size=_CODES.codebook_size
        )

    def forward(self, features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return target and reconstruction [B, T, D], codes [B, K, T'], and the commitment."""
        target = self.parts._normalise(features, mask)
        latents, slow_mask = self.parts.encoder(target, mask)
        vectors, codes, commitment = self.vq(latents)
        reconstruction = self.parts.decoder(vectors, slow_mask)[:, : features.shape[1]]
        return target, reconstruction, codes.transpose(1, 2), commitment.mean()


def main() -> None:
    """Measure and report."""
    parser = option_parser(__doc__)
    parser.add_argument("--steps", type=int, default=400, help="of training; default: 400")
    options, given = options_of(parser)
    steps = 20 if options.quick else given.steps
    torch.manual_seed(0)
    draw = make_source(_CONFIG.speech_encoder.dim)
    reservoir = [draw() for _ in range(4 if options.quick else 12)]
    ours = Quantizer(_CONFIG)
    ours.initialise(reservoir, frames_per_step=_CLIPS * _FRAMES / ours.config.stride)
    theirs = LibraryQuantizer(ours)
    with Row(13, "quantizer", options) as row:
        batches = [draw() for _ in range(steps)]
        step_ours, step_theirs = our_step(ours), their_step(theirs)
        for batch in batches:
            step_ours(batch)
            step_theirs(batch)
        compare(row, ours, theirs, [draw() for _ in range(8)], steps)
        timed = batches[:_STEPS_OF_ROUND]
        times = row.alternate(
            {
                "gsv2": lambda: [step_ours(batch) for batch in timed],
                "library": lambda: [step_theirs(batch) for batch in timed],
            }
        )
        count = len(timed) * _CLIPS * _FRAMES / ours.config.stride * _CODES.num_codebooks
        for name, seconds in times.items():
            row.rate(f"training step: {name}", seconds, count, "codes/s")
        speed = ratios(times["library"], times["gsv2"])
        row.target("training step, library / gsv2", speed, at_least=MIN_SPEED)


def compare(
    row: Row, ours: Quantizer, theirs: LibraryQuantizer, held_out: list[SpeechFeatures], steps: int
) -> None:
    """Report what both reach on features that neither has seen."""
    features, mask = (torch.cat(parts) for parts in zip(*held_out, strict=True))
    ours.eval(), theirs.eval()
    with torch.no_grad():
        mine = ours(features, mask)
        target, rebuilt, codes, _ = theirs(features, mask)
    ours.train(), theirs.train()
    errors = (
        float(unexplained_variance(mine.reconstruction, mine.target, mask)),
        float(unexplained_variance(rebuilt, target, mask)),
    )
    V = _CODES.codebook_size
    for k in range(_CODES.num_codebooks):
        shares = [float(perplexity(count_codes(c, V))[k]) / V for c in (mine.codes, codes)]
        row.target(f"perplexity / V of codebook {k}: gsv2", shares[0], at_least=MIN_PERPLEXITY)
        row.figure(f"perplexity / V of codebook {k}: library", shares[1])
    for name, error in zip(("gsv2", "library"), errors, strict=True):
        row.figure(f"variance not explained after {steps} steps: {name}", error)
    row.target("error, gsv2 / library", errors[0] / errors[1], at_most=MAX_ERROR)


def our_step(model: Quantizer) -> Callable[[SpeechFeatures], None]:
    """Return a training step of the quantizer, its codebooks' updates among it."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=_LR, fused=True)

    def step(batch: SpeechFeatures) -> None:
        output = model(*batch)
        loss = masked_mse(output.reconstruction, output.target, batch.mask)
        (loss + _CONFIG.commitment_weight * output.commitment).backward()
        optimizer.step()
        optimizer.zero_grad()
        model.update_codebooks(output.statistics)

    return step


def their_step(model: LibraryQuantizer) -> Callable[[SpeechFeatures], None]:
    """Return a training step of the peer."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=_LR, fused=True)

    def step(batch: SpeechFeatures) -> None:
        target, rebuilt, _, commitment = model(*batch)
        (masked_mse(rebuilt, target, batch.mask) + commitment).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def make_source(dim: int) -> Callable[[], SpeechFeatures]:
    """Return what draws batches of features of one fixed kind."""
    weights = torch.randn(_HIDDEN, 4 * dim), torch.randn(4 * dim, dim)

    def draw() -> SpeechFeatures:
        walk = torch.randn(_CLIPS, _FRAMES, _HIDDEN).cumsum(dim=1)
        walk = (walk - walk.mean(dim=1, keepdim=True)) / walk.std(dim=1, keepdim=True)
        features = torch.tanh(walk @ weights[0]) @ weights[1]
        return SpeechFeatures(features, torch.ones(_CLIPS, _FRAMES, dtype=torch.bool))

    return draw


if __name__ == "__main__":
    main()
