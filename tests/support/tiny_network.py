"""A small network, and DeepSpeed and plain torch to train it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from gsv2.training.engines.deepspeed import DeepSpeedEngine
from gsv2.training.engines.engine import EngineConfig
from gsv2.training.optim import OptimConfig, make_optimizer

CPU = torch.device("cpu")
MAX_NORM = 0.5
STAGES = (0, 1, 2, 3)
"""Of ZeRO."""
OPTIM = OptimConfig(lr=0.1)


class Net(nn.Module):
    """Parameters that decay and ones that do not, frozen ones, and a buffer that moves."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.norm, self.still = nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 4)
        self.still.requires_grad_(False)
        self.register_buffer("count", torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        self.count += 1
        return self.still(self.norm(self.head(x)).tanh())


def make_net(seed: int) -> tuple[Net, Optimizer]:
    """Return an untrained network, and its optimizer in two groups."""
    torch.manual_seed(seed)
    module = Net()
    return module, make_optimizer(module, OPTIM)


def make_deepspeed(stage: int, seed: int = 0) -> tuple[DeepSpeedEngine, Net]:
    """Return `make_net` under DeepSpeed."""
    module, optimizer = make_net(seed)
    config = EngineConfig(kind="deepspeed", zero_stage=stage)
    engine = DeepSpeedEngine("net", module, optimizer, config, max_grad_norm=MAX_NORM, device=CPU)
    return engine, module


def micro_batches(step: int) -> Iterator[Tensor]:
    """Yield what a step is trained on: one to three inputs."""
    rng = torch.Generator().manual_seed(step)
    for _ in range(1 + step % 3):
        yield torch.randn(5, 3, generator=rng)


def loss_of(output: Tensor) -> Tensor:
    return (output - 1).square().mean()


def train_engine(engine: DeepSpeedEngine, steps: Iterable[int]) -> list[float]:
    """Take steps; return the norms of their gradients before clipping."""
    norms = []
    for step in steps:
        losses = [loss_of(engine(x)) for x in micro_batches(step)]
        for number, loss in enumerate(losses, start=1):
            engine.backward(loss, is_last=number == len(losses))
        norms.append(float(engine.grad_norm()))
        engine.step(MAX_NORM)
    return norms


def train_plain(module: Net, optimizer: Optimizer, steps: Iterable[int]) -> list[float]:
    """Do the same in plain torch."""
    norms = []
    for step in steps:
        for x in micro_batches(step):
            loss_of(module(x)).backward()
        norms.append(float(clip_grad_norm_(module.parameters(), MAX_NORM)))
        optimizer.step()
        optimizer.zero_grad()
    return norms
