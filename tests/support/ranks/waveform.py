"""What test_waveform_ranks.py runs: steps of the waveform stage's networks, under two engines."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import save_file
from torch import Tensor

from gsv2.data.stream.batch import Batch
from gsv2.seeds import seed_torch
from gsv2.stages.joint import JointStage
from gsv2.stages.vits2 import VITS2Stage
from gsv2.stages.vits2_config import VITS2RunConfig
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.engines.engine import EngineConfig
from gsv2.training.prepare import attach_engines
from gsv2.training.stage import Stage
from gsv2.training.step import StepRunner
from gsv2.training.trainer import Trainer
from tests.support.forked_runs import DEEPSPEED
from tests.support.run_step import run_step
from tests.support.tiny_joint import make_live_config
from tests.support.tiny_text_vits2 import ADVERSARIAL, text_config
from tests.support.tiny_vits2 import (
    ISTFT,
    TINY,
    make_batch,
    make_config,
    numbered_batch,
    save_quantizer,
)

ConfigT = TypeVar("ConfigT", bound=VITS2RunConfig)
BEFORE_FORKS = DEEPSPEED
CPU = torch.device("cpu")
NETWORKS = ("istft", "stochastic", "adversarial")
"""Vocos' generator of a harmonic source under judges of spectra, its content encoder told the text;
priors of text whose durations a flow learns, and a discriminator."""
ENGINES = {"ddp": EngineConfig(kind="ddp"), "zero2": EngineConfig(kind="deepspeed", zero_stage=2)}
STEPS = (range(4), range(4, 6))
"""Micro-batches of each step."""
TEXTS = ("tone", "a", "b")
LENGTHS = ((21, 12, 5), (17, 9), (24,), (13, 20))
FREEZES_AFTER, LAST_STEP = 2, 4
STOPS = (1, 3)
"""Steps at which runs stop: before the quantizer's freeze, and behind it."""
_JUDGED_SPECTRA = {"n_fft": [256], "hop_length": [64], "win_length": [256]}


def make_stage(network: str, folder: Path) -> VITS2Stage:
    """Return an untrained stage of one of the `NETWORKS`."""
    folder.mkdir(parents=True, exist_ok=True)
    if network == "istft":
        source = {**ISTFT["istft"], "source": "harmonic"}
        generator = {
            **TINY["generator"],
            "generator": {**ISTFT, "istft": source},
            "content_text": {"text_dropout": 0.5},
        }
        judges = {**TINY["discriminator"], "resolutions": _JUDGED_SPECTRA, "resolution_channels": 4}
        quantizer = save_quantizer(folder / "quantizer.safetensors")
        model = {**TINY, "quantizer": str(quantizer), "generator": generator}
        config = make_config(quantizer, model={**model, "discriminator": judges})
    elif network == "stochastic":
        config = text_config(folder)
    else:
        config = text_config(folder, 8, **ADVERSARIAL)
    torch.manual_seed(0)
    return VITS2Stage(_calm(config), CPU)


def _calm(config: ConfigT) -> ConfigT:
    """Hide the rounding noise of gradients that are 0."""
    optim = {name: replace(entry, eps=1e-4) for name, entry in config.optim.items()}
    return replace(config, optim=optim)


def step_batch(k: int) -> Batch:
    """Return micro-batch k: one to three clips, with codes and texts."""
    batch = make_batch(LENGTHS[k % len(LENGTHS)])
    return replace(batch, micro_batch=k, texts=TEXTS[: batch.num_clips])


def train(network: str, engine: EngineConfig, ranks: Distributed, folder: Path) -> VITS2Stage:
    """Take two steps. Collective."""
    stage = make_stage(network, folder)
    attach_engines(stage.trainables, dict.fromkeys(stage.trainables, engine), ranks)
    runner = StepRunner(stage, ranks, seed=3)
    for number, micro_batches in enumerate(STEPS, start=1):
        share = [step_batch(k) for k in micro_batches[ranks.rank :: ranks.world]]
        result = run_step(runner, share, number)
        assert not result.left_out
    return stage


def weights_of(stage: Stage) -> Mapping[str, Tensor]:
    """Return the networks' weights where no engine shards them."""
    return {
        f"{name}/{key}": value.clone()
        for name, trainable in stage.trainables.items()
        for key, value in trainable.module.state_dict().items()
    }


def fit_live(folder: Path, ranks: Distributed, max_steps: int) -> Mapping[str, Tensor]:
    """Train a joint run in `folder`, whose GPT begins when its quantizer freezes. Collective."""
    own = folder / f"rank-{ranks.rank}"
    own.mkdir(parents=True, exist_ok=True)
    config = make_live_config(own, FREEZES_AFTER, start_step=0)
    config = replace(
        _calm(config),
        run=replace(config.run, dir=str(folder)),
        data=replace(config.data, micro_batches_per_step=4),
        trainer=replace(config.trainer, max_steps=max_steps),
    )
    torch.manual_seed(0)
    stage = JointStage(config, CPU)
    seed_torch(0)
    Trainer(config, ranks).fit(
        stage,
        lambda start, _: map(_live_batch, itertools.count(start + ranks.rank, ranks.world)),
        initial=lambda: map(_live_batch, itertools.count()),
    )
    return weights_of(stage)


def _live_batch(k: int) -> Batch:
    batch = numbered_batch(k, (41, 32) if k % 2 else (36, 25))
    return replace(batch, codes=None, code_lengths=None)


def main(folder: str) -> None:
    """Train everything on the ranks of the launch, into `folder`."""
    out, ranks = Path(folder), Distributed()
    for network in NETWORKS:
        for name, engine in ENGINES.items():
            stage = train(network, engine, ranks, out / f"{network}-{name}-{ranks.rank}")
            _save(weights_of(stage), out / f"{network}.{name}", ranks)
    _save(fit_live(out / "whole", ranks, LAST_STEP), out / "whole.live", ranks)
    for stop in STOPS:
        fit_live(out / f"stopped-{stop}", ranks, stop)
        ranks.barrier()
        if stop == STOPS[-1]:
            _save(fit_live(out / f"stopped-{stop}", ranks, LAST_STEP), out / f"{stop}.live", ranks)
    ranks.close()


def _save(weights: Mapping[str, Tensor], file: Path, ranks: Distributed) -> None:
    if ranks.is_main:
        save_file(dict(weights), file)
    ranks.barrier()
