"""A GAN of linear layers that obeys every contract of a stage, and its stream.

`accelerate launch -m tests.support.toy_stage DIR MAX_STEPS` fits it on several ranks.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from gsv2.data.plan.window import LanePosition, PartPosition
from gsv2.data.stream.batch import BadClip, Batch
from gsv2.seeds import seed_torch
from gsv2.training.accounting.state import TrainState
from gsv2.training.config import RunConfig
from gsv2.training.distributed.ranks import Distributed, leave
from gsv2.training.faults.signals import StopSignals
from gsv2.training.optim import OptimConfig, make_optimizer
from gsv2.training.precision.policy import PrecisionPolicy
from gsv2.training.schedule import make_scheduler
from gsv2.training.stage import Panel, Trainable, Update, Workload, audio_workload
from gsv2.training.trainer import Trainer
from tests.support.cached_configs import read_values

NUM_SAMPLES = 8
NUM_LANES = 4
WINDOW_PLACES = 2
"""Micro-batches of a lane's window."""
EPOCH_PLACES = 4
"""Micro-batches of a lane's epoch."""


@dataclass(frozen=True, kw_only=True)
class ToyModelConfig:
    width: int = 6


@dataclass(frozen=True, kw_only=True)
class ToyRunConfig(RunConfig):
    model: ToyModelConfig = field(default_factory=ToyModelConfig)
    optim: dict[str, OptimConfig] = field(
        default_factory=lambda: {
            "generator": OptimConfig(lr=1e-2, warmup_steps=2),
            "discriminator": OptimConfig(lr=2e-2, schedule="exponential", max_grad_norm=0.1),
        }
    )


class Net(nn.Module):
    """Its last layer is weight-normed, as those of the real GAN are."""

    def __init__(self, width: int, num_out: int) -> None:
        super().__init__()
        last = weight_norm(nn.Linear(width, num_out))
        self.layers = nn.Sequential(nn.Linear(NUM_SAMPLES, width), nn.Dropout(0.1), nn.Tanh(), last)
        self.register_buffer("offset", torch.zeros(NUM_SAMPLES))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x - self.offset)


class ToyStage:
    members = ("audio",)
    codes = None
    full_step = 1

    def __init__(self, config: ToyRunConfig, device: torch.device) -> None:
        self.precision = PrecisionPolicy(config.precision, ("generator", "discriminator"))
        self.trainables: dict[str, Trainable] = {}
        for name, num_out in (("generator", NUM_SAMPLES), ("discriminator", 1)):
            module = Net(config.model.width, num_out).to(device)
            optimizer = make_optimizer(module, config.optim[name])
            self.trainables[name] = Trainable(
                kind={"generator": "vits2"}.get(name, name),
                module=module,
                config={"width": config.model.width, "nested": {"num_out": num_out}},
                optimizer=optimizer,
                scheduler=make_scheduler(optimizer, config.optim[name], config.trainer.max_steps),
                max_grad_norm=config.optim[name].max_grad_norm,
                ema_decay=config.optim[name].ema_decay,
                provenance={"quantizer": "abc"},
            )

    def initialise(self, batches: Iterable[Batch]) -> None:
        first = next(iter(batches))
        for trainable in self.trainables.values():
            trainable.module.offset.copy_(first.wave.mean(dim=(0, 1)))

    def num_targets(self, batch: Batch) -> Mapping[str, int]:
        return dict.fromkeys(self.trainables, batch.num_clips)

    def updates(self, batch: Batch, step: int) -> Iterator[Update]:
        generator, discriminator = self.trainables["generator"], self.trainables["discriminator"]
        real = batch.wave[:, 0]  # [C, N]
        fake = generator(real + torch.randn_like(real))
        loss = (discriminator(real) - 1).square().mean()
        loss = loss + discriminator(fake.detach()).square().mean()
        yield Update("discriminator", loss, {"discriminator/loss": loss})
        with discriminator.frozen() as judge:
            adversarial = (judge(fake) - 1).square().mean()
        error = (fake - real).abs().mean()
        metrics = {"generator/adversarial": adversarial, "generator/error": error}
        yield Update("generator", adversarial + error, metrics)

    def validate(self, batch: Batch) -> Mapping[str, Tensor]:
        real = batch.wave[:, 0]
        return {"generator/error": (self.trainables["generator"](real) - real).abs().mean()}

    def workload(self, batch: Batch) -> Workload:
        return audio_workload(batch)

    def flops(self, batch: Batch) -> Mapping[str, float]:
        return {}

    def panels(self, batch: Batch) -> Sequence[Panel]:
        return ()


def toy_position(k: int) -> LanePosition:
    """Return where the window of micro-batch k begins: one component, windows within an epoch."""
    lane, window = k % NUM_LANES, k // NUM_LANES // WINDOW_PLACES
    epoch, offset = divmod(window * WINDOW_PLACES, EPOCH_PLACES)
    component = PartPosition(epoch=epoch, shard_range=0, offset=offset, clock=window / 3)
    return LanePosition(lane, window * WINDOW_PLACES, window, (component,))


def toy_batch(k: int, *, num_clips: int | None = None, bad: int = 0) -> Batch:
    """Return micro-batch k: 1 to 4 clips that depend on k alone, the first two of one speaker."""
    rng = torch.Generator().manual_seed(k)
    count = 1 + k % 4 if num_clips is None else num_clips
    keys = tuple(f"clip-{k}-{i}" for i in range(count))
    epoch = toy_position(k).parts[0].epoch
    lost = BadClip(key="", shard="a.tar", reason="torn", epoch=epoch)
    return Batch(
        micro_batch=k,
        lane=k % NUM_LANES,
        epoch=epoch,
        position=toy_position(k),
        keys=keys,
        speakers=("s",) * count,
        languages=("en",) * count,
        texts=("text",) * count,
        mixture_parts=(0,) * count,
        epochs=(epoch,) * count,
        sequence=(torch.arange(count) - 1).clamp(min=0),
        wave=torch.randn(count, 1, NUM_SAMPLES, generator=rng),
        padding=0.25,
        bad=tuple(replace(lost, key=f"bad-{k}-{i}") for i in range(bad)),
    )


def toy_config(folder: Path, **sections: Any) -> ToyRunConfig:
    """Return the config of a short run in `folder/run`."""
    values: dict[str, Any] = {
        "stage": "toy",
        "run": {"dir": str(folder), "name": "run"},
        "data": {
            "sources": [],
            "max_frames": 100,
            "micro_batches_per_step": 4,
            "max_bad_fraction": 0.05,
        },
        "trainer": {"max_steps": 6, "log_every_steps": 1, "validate_every_steps": 3},
        "checkpoint": {"every_steps": 2},
        "tracking": {"progress": False},
    }
    for name, section in sections.items():
        values[name] = {**values.get(name, {}), **section} if isinstance(section, dict) else section
    folder.mkdir(parents=True, exist_ok=True)
    return read_values(values, ToyRunConfig, folder)


def fit_toy(
    config: ToyRunConfig,
    distributed: Distributed,
    *,
    stage_class: type = ToyStage,
    make_batch: Any = toy_batch,
    signals: StopSignals | None = None,
) -> tuple[ToyStage, TrainState]:
    """Fit a toy from a fresh start or its last checkpoint."""
    rank, world = distributed.rank, distributed.world
    seed_torch(config.seed)
    stage = stage_class(config, distributed.device)
    state = Trainer(config, distributed, signals).fit(
        stage,
        lambda start, positions: (make_batch(k) for k in itertools.count(start + rank, world)),
        lambda: (toy_batch(1000 + k) for k in range(rank, 4, world)),
        lambda: (toy_batch(k) for k in itertools.count()),
    )
    return stage, state


def torn_batch(k: int) -> Batch:
    """Return micro-batch k of a corpus with one torn clip and one torn micro-batch."""
    if k == 5:
        return replace(toy_batch(9, bad=1), micro_batch=k, position=toy_position(k), weight=0.0)
    return toy_batch(k, bad=int(k == 2))


if __name__ == "__main__":
    ranks = Distributed()
    options = {"max_steps": int(sys.argv[2]), "log_every_steps": 1, "validate_every_steps": 3}
    fit_toy(toy_config(Path(sys.argv[1]), trainer=options), ranks, make_batch=torn_batch)
    ranks.close()
    leave(0)
