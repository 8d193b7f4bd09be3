"""BENCHMARKS row 7: a step of the waveform GAN against the order of GPT-SoVITS' and VITS' scripts.

    python -m benchmarks.gan_step [--quick] [--rounds 7] [--out runs/bench]

The networks of configs/vits2/base (--quick: of debug sizes), 2 clips of 64 frames, segments of 32.
`plain` is written after the published recipe (VITS, arXiv 2106.06103; HiFi-GAN, 2010.05646): period
discriminators convolve in two dimensions; recordings and generated waves pass them one after the
other, and again, both with graphs, in the generator's turn, whose backward pass reaches the
discriminators' weights too; norms of gradients are read one by one; AdamW is not fused. Then one
lever after the other is pulled, each beside those before it; `gsv2` is what the stage runs. All
contenders take one step from the same weights and noise first, and must have equal losses and equal
weights. What a quantizer or a speech encoder would cost is in none of them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from benchmarks.gan_contenders import (
    OPTIM,
    Contender,
    Inputs,
    Levers,
    StageContender,
    plain_optimizers,
)
from benchmarks.harness import Row, ratios
from benchmarks.options import Options, read_options
from gsv2.audio.mel import MelConfig, MelSpectrogram
from gsv2.config import load_config
from gsv2.models.vits2.decoded import TrainedSegments
from gsv2.models.vits2.discriminators import MultiDiscriminator
from gsv2.models.vits2.model import VITS2
from gsv2.nn.codes import CodeConfig
from gsv2.stages import SCHEMAS

TIMES_PEER = 1.12
NUM_CLIPS, FRAMES, SEGMENT = 2, 64, 32
TOLERANCE = 1e-4

CUMULATIVE: Mapping[str, Levers] = {
    "plain": Levers(),
    "+ periods folded into the batch": Levers(folded=True),
    "+ recordings' features without a graph": Levers(folded=True, no_graph_of_real=True),
    "+ discriminators frozen": Levers(folded=True, no_graph_of_real=True, frozen=True),
    "+ real and fake in one pass": Levers(
        folded=True, no_graph_of_real=True, frozen=True, one_pass=True
    ),
}
"""Each has what those before it have; `gsv2` adds fused AdamW and one norm of all gradients."""
ASIDE = {"plain, channels last": Levers(channels_last=True)}


def make_networks(*, quick: bool) -> tuple[VITS2, MultiDiscriminator]:
    """Return the networks of a shipped config, their dropout off."""
    section = load_config(f"vits2/{'hifigan_debug' if quick else 'base'}", [], SCHEMAS).model
    torch.manual_seed(0)
    codes = CodeConfig(levels=2, codebook_size=1024, dim=256)
    model = VITS2(replace(section.generator, codes=codes))
    model.code_vectors.set_codebooks(torch.randn_like(model.code_vectors.codebooks))
    for module in model.modules():
        if isinstance(getattr(module, "dropout", None), float):
            module.dropout = 0.0
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model, MultiDiscriminator(section.discriminator.network())


def make_inputs(model: VITS2) -> Inputs:
    """Return noise in the place of speech, whose cost is the same."""
    hop, per_code = model.config.mel.hop_length, model.config.frames_per_code
    wave = 0.1 * torch.randn(NUM_CLIPS, 1, FRAMES * hop)
    shape = (NUM_CLIPS, model.config.codes.num_codebooks, FRAMES // per_code)
    magnitude = model.mel.spectrogram(wave)[..., :FRAMES]
    return Inputs(
        codes=torch.randint(1024, shape),
        magnitude=magnitude,
        mel=model.mel.from_spectrogram(magnitude),
        lengths=torch.full((NUM_CLIPS,), FRAMES),
        real=wave[..., : SEGMENT * hop],
        segments=TrainedSegments(torch.zeros(NUM_CLIPS, dtype=torch.int64), SEGMENT),
    )


def main() -> None:
    """Measure and report."""
    options = read_options(__doc__)
    with Row(7, "GAN step", options) as row:
        measure(row, options)
        row.note(
            "No peer's code runs here: `plain` is written after the papers. On a CPU nothing waits "
            "for a number, so that norms read one by one cost little. torch.compile is not "
            "measured."
        )


def measure(row: Row, options: Options) -> None:
    """Report all contenders, after they have agreed."""
    networks = make_networks(quick=options.quick)
    inputs, mel = make_inputs(networks[0]), MelSpectrogram(MelConfig())
    levers = CUMULATIVE | ASIDE
    check_agreement(networks, inputs, mel, levers)
    optimizers = plain_optimizers(networks)  # one copy of weights and moments is large enough
    contenders: dict[str, Contender | StageContender] = {
        name: Contender(networks, optimizers, mel, chosen) for name, chosen in levers.items()
    }
    contenders["gsv2"] = StageContender(networks, mel)
    runs = {name: partial(one.step, inputs) for name, one in contenders.items()}
    times = row.alternate(runs)
    for name, seconds in times.items():
        row.figure(name, seconds, "s a step")
    row.target("plain / gsv2", ratios(times["plain"], times["gsv2"]), at_least=TIMES_PEER)
    row.figure(
        "plain / plain, channels last", ratios(times["plain"], times["plain, channels last"])
    )
    names = [*CUMULATIVE, "gsv2"]
    for before, name in pairwise(names):
        label = "+ fused AdamW, one norm" if name == "gsv2" else name
        row.figure(f"{label}: times faster", ratios(times[before], times[name]))


def check_agreement(
    networks: tuple[VITS2, MultiDiscriminator],
    inputs: Inputs,
    mel: MelSpectrogram,
    levers: Mapping[str, Levers],
) -> None:
    """Take one step each from copies, which must end in the same losses and weights."""
    expected: tuple[tuple[float, float], list[Tensor]] | None = None
    for name in (*levers, "gsv2"):
        own = copy.deepcopy(networks)
        one: Contender | StageContender = StageContender(own, mel)
        if name in levers:
            one = Contender(own, plain_optimizers(own), mel, levers[name])
        losses = one.step(inputs)
        weights = [p.detach() for network in own for p in network.parameters()]
        if expected is None:
            expected = losses, weights
            continue
        for mine, other in zip(losses, expected[0], strict=True):
            assert abs(mine - other) <= TOLERANCE * abs(other), f"{name}: {losses}, {expected[0]}"
        apart = max(float((a - b).abs().max()) for a, b in zip(weights, expected[1], strict=True))
        assert apart <= OPTIM.lr * 0.1, f"{name}: weights differ by {apart}"


if __name__ == "__main__":
    main()
