"""What `benchmarks.loop` starts on one process or on ranks: our Trainer and bare loops, in turn.

    python -m benchmarks._loop_worker OUT ROUNDS WIDTH

Rank 0 writes OUT/ranks-W.json: contender -> seconds a step of every round, and the last loss.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grad_norm_

from gsv2.data.config import DataConfig
from gsv2.data.plan.window import LanePosition, PartPosition
from gsv2.data.stream.batch import Batch
from gsv2.training.checkpoints.config import CheckpointConfig
from gsv2.training.config import RunConfig, RunSection, TrainerConfig
from gsv2.training.distributed.ranks import Distributed, leave
from gsv2.training.optim import OptimConfig, make_optimizer
from gsv2.training.precision.policy import PrecisionPolicy
from gsv2.training.schedule import make_scheduler
from gsv2.training.stage import Panel, Trainable, Update, Workload
from gsv2.training.telemetry.tracking import TrackingConfig
from gsv2.training.trainer import Trainer

WARMUP_STEPS = 5
STEPS = 45
"""Steps of a round; those after the warm-up are timed, with a record every 10, the default."""
PER_STEP = 2
"""Micro-batches of a step over all ranks."""
CLIPS, TOKENS, VOCABULARY = 4, 128, 512
OPTIM = OptimConfig(lr=1e-3, schedule="constant", weight_decay=0.0)


class Model(nn.Module):
    """Predicts the next code of a clip from the ones before it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(width, 4, 4 * width, dropout=0.0, batch_first=True)
        self.embedding = nn.Embedding(VOCABULARY, width)
        self.layers = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
        self.head = nn.Linear(width, VOCABULARY)

    def forward(self, codes: Tensor) -> Tensor:
        """Return the mean loss [] over the codes [C, T]."""
        mask = nn.Transformer.generate_square_subsequent_mask(codes.shape[1] - 1)
        hidden = self.layers(self.embedding(codes[:, :-1]), mask=mask, is_causal=True)
        return cross_entropy(self.head(hidden).flatten(0, 1), codes[:, 1:].flatten())


@dataclass(frozen=True, kw_only=True)
class LoopRunConfig(RunConfig):
    """A run of `LoopStage`."""

    optim: dict[str, OptimConfig] = field(default_factory=lambda: {"net": OPTIM})
    """Optimizer of the one network."""


class LoopStage:
    """One trainable over `Model`."""

    members = ("codes",)
    codes = None
    full_step = 1

    def __init__(self, module: nn.Module) -> None:
        self.precision = PrecisionPolicy({}, ("net",))
        optimizer = make_optimizer(module, OPTIM)
        self.trainables = {
            "net": Trainable(
                kind="net",
                module=module,
                config={},
                optimizer=optimizer,
                scheduler=make_scheduler(optimizer, OPTIM, STEPS),
                max_grad_norm=OPTIM.max_grad_norm,
            )
        }

    def initialise(self, batches: Iterable[Batch]) -> None:
        """Do nothing."""

    def num_targets(self, batch: Batch) -> Mapping[str, int]:
        """Return the codes that are predicted."""
        return {"net": CLIPS * (TOKENS - 1)}

    def updates(self, batch: Batch, step: int) -> Iterator[Update]:
        """Yield the one update."""
        assert batch.codes is not None
        yield Update("net", self.trainables["net"](batch.codes[:, 0]), {})

    def validate(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return nothing: there is no validation."""
        return {}

    def workload(self, batch: Batch) -> Workload:
        """Return nothing: it is not counted."""
        return Workload()

    def flops(self, batch: Batch) -> Mapping[str, float]:
        """Return nothing: they are not counted."""
        return {}

    def panels(self, batch: Batch) -> Sequence[Panel]:
        """Return nothing: there is nothing to see."""
        return ()


def make_codes(k: int) -> Tensor:
    """Return the codes [C, T] of micro-batch k."""
    rng = torch.Generator().manual_seed(k)
    return torch.randint(VOCABULARY, (CLIPS, TOKENS), generator=rng)


def make_batch(k: int) -> Batch:
    """Return micro-batch k as the stream hands it out."""
    return Batch(
        micro_batch=k,
        lane=0,
        epoch=0,
        position=LanePosition(0, k, k, (PartPosition(0, 0, k, 0.0),)),
        keys=tuple(f"{k}-{clip}" for clip in range(CLIPS)),
        speakers=("",) * CLIPS,
        languages=("xx",) * CLIPS,
        texts=("text",) * CLIPS,
        mixture_parts=(0,) * CLIPS,
        epochs=(0,) * CLIPS,
        sequence=torch.arange(CLIPS),
        codes=make_codes(k)[:, None],
        code_lengths=torch.full((CLIPS,), TOKENS),
    )


def run_gsv2(module: nn.Module, distributed: Distributed, folder: Path) -> float:
    """Train through our Trainer; return seconds a step, from one request for data to another."""
    requests: dict[int, float] = {}

    def stream(start: int, positions: Mapping[int, LanePosition]) -> Iterator[Batch]:
        for k in itertools.count(start + distributed.rank, distributed.world):
            requests.setdefault(k // PER_STEP, time.perf_counter())
            yield make_batch(k)

    config = LoopRunConfig(
        stage="loop",
        seed=0,
        run=RunSection(dir=str(folder), name="run"),
        data=DataConfig(sources=[], max_tokens=1, micro_batches_per_step=PER_STEP, lanes=2),
        trainer=TrainerConfig(max_steps=STEPS + 1),
        checkpoint=CheckpointConfig(every_steps=1000),
        tracking=TrackingConfig(progress=False),
    )
    Trainer(config, distributed).fit(LoopStage(module), stream)
    return (requests[STEPS] - requests[WARMUP_STEPS]) / (STEPS - WARMUP_STEPS)


def run_bare(module: nn.Module, distributed: Distributed, accelerator: Accelerator | None) -> float:
    """Train with the least that torch needs (DDP on ranks), or with a bare Accelerate loop."""
    optimizer = make_optimizer(module, OPTIM)
    engine: Any = module
    if accelerator is not None:
        engine, optimizer = accelerator.prepare(module, optimizer)
    elif distributed.world > 1:
        engine = DistributedDataParallel(module)
    local = PER_STEP // distributed.world
    started, loss = 0.0, torch.zeros(())
    for step in range(STEPS + 1):
        if step == WARMUP_STEPS:
            started = time.perf_counter()
        if step == STEPS:
            ended = time.perf_counter()
        for place in range(local):
            k = step * PER_STEP + place * distributed.world + distributed.rank
            loss = engine(make_codes(k)) / local
            (accelerator.backward if accelerator else Tensor.backward)(loss)
        clip_grad_norm_(module.parameters(), OPTIM.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step % 10 == 0:
            loss.item()
    return (ended - started) / (STEPS - WARMUP_STEPS)


def main() -> None:
    """Alternate the contenders and write what they took."""
    out, rounds, width = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    distributed = Distributed()
    accelerator = Accelerator(cpu=True)
    times: dict[str, list[float]] = {"gsv2": [], "torch": [], "accelerate": []}
    ends: dict[str, Tensor] = {}

    def run(name: str, number: int) -> None:
        torch.manual_seed(0)
        module = Model(width)
        contenders: dict[str, Callable[[], float]] = {
            "gsv2": lambda: run_gsv2(module, distributed, out / f"{distributed.world}-{number}"),
            "torch": lambda: run_bare(module, distributed, None),
            "accelerate": lambda: run_bare(module, distributed, accelerator),
        }
        seconds = max(distributed.gather(contenders[name]()))
        if number:  # the first round warms up
            times[name].append(seconds)
        ends[name] = torch.cat([p.detach().flatten() for p in module.parameters()])

    for number in range(rounds + 1):
        names = list(times)
        for name in names[number % 3 :] + names[: number % 3]:
            run(name, number)
        for name in ("torch", "accelerate"):
            difference = float((ends[name] - ends["gsv2"]).abs().max())
            assert difference <= 1e-5, f"{name} ends {difference} away from gsv2"
    if distributed.is_main:
        last = (out / f"{distributed.world}-0" / "run" / "metrics.jsonl").read_text().splitlines()
        values = {"times": times, "loss": json.loads(last[-1])["net/loss"]}
        (out / f"ranks-{distributed.world}.json").write_text(json.dumps(values))
    distributed.close()


if __name__ == "__main__":
    main()
    leave(0)
