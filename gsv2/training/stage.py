"""Stage: the seam between the one Trainer and what it trains."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from gsv2.data.stream.batch import Batch
from gsv2.nn.codes import CodeConfig
from gsv2.training.ema import WeightAverage
from gsv2.training.engines.engine import Engine, EngineError
from gsv2.training.optim import OptimConfig, make_optimizer
from gsv2.training.precision.loss_scale import LossScale
from gsv2.training.precision.policy import PrecisionPolicy
from gsv2.training.schedule import RunProgress, make_scheduler


@dataclass(kw_only=True)
class Trainable:
    """One network with its optimizer and schedule."""

    kind: str
    """Kind of the component file: `quantizer`, `aligner`, `gpt`, `vits2`, `discriminator`."""
    module: nn.Module
    """The bare network. Stages call the trainable itself, never this."""
    config: Mapping[str, Any]
    """Plain values of the network's config, for the component file."""
    optimizer: Optimizer
    """Optimizer of the parameters that train."""
    scheduler: LRScheduler
    """Schedule of its learning rate, by optimizer step."""
    max_grad_norm: float
    """Norm that gradients are clipped to."""
    config_type: type | None = None
    """Dataclass of `config`, whose defaults stand for what an older checkpoint does not name."""
    provenance: Mapping[str, str] = field(default_factory=dict)
    """Hashes of what the network depends on, e.g. `{"quantizer": HASH}`."""
    plain_because: str = ""
    """Reason why DeepSpeed must not run it; empty if it may."""
    ema_decay: float = 0.0
    """Decay of the average of the weights; 0 = none is kept."""
    average: WeightAverage | None = None
    """Average of the weights; set by the Trainer."""
    progress: RunProgress = field(default_factory=RunProgress)
    """How far its run has come; set by the Trainer."""
    loss_scale: LossScale | None = None
    """Scale of losses whose gradients pass through fp16; set by the Trainer."""
    engine: Engine | None = None
    """Runner of the network (DDP, DeepSpeed); set by the Trainer."""
    _num_frozen: int = field(default=0, init=False, repr=False)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the network through its engine, so that gradients are shared by all ranks.

        Raises:
            EngineError: within `frozen()`.
        """
        if self._num_frozen:
            raise EngineError(
                f"{self.kind} runs through its engine while it is frozen for another's update; "
                "call the network that `frozen()` returned"
            )
        return (self.engine or self.module)(*args, **kwargs)

    @property
    def is_partitioned(self) -> bool:
        """Whether ZeRO-3 partitions the parameters, which it marks so; alike on all ranks."""
        return any(hasattr(parameter, "ds_id") for parameter in self.module.parameters())

    def full_weights(self) -> dict[str, Tensor] | None:
        """Return the whole parameters where they are partitioned; None where the module has them.

        Collective; the memory of a second network on every rank, for as long as they are kept.
        """
        if self.engine is None or not self.is_partitioned:
            return None
        parts = self.engine.local_weights()
        return {name: self.engine.to_whole(name, part) for name, part in parts.items()}

    @contextmanager
    def frozen(self) -> Iterator[nn.Module]:
        """Lend the bare network without gradients for its parameters.

        The only way to use a network in another one's update: an engine must not see it
        (DDP and ZeRO would count the pass as their own and train on it). Engines see to that:
        see `gsv2.training.engines.contract`.
        """
        parameters = [p for p in self.module.parameters() if p.requires_grad]
        for parameter in parameters:
            parameter.requires_grad_(False)
        self._num_frozen += 1
        try:
            yield self.module
        finally:
            self._num_frozen -= 1
            for parameter in parameters:
                parameter.requires_grad_(True)


def make_trainable(
    kind: str,
    module: nn.Module,
    config: Any,
    optim: OptimConfig,
    max_steps: int,
    provenance: Mapping[str, str],
) -> Trainable:
    """Return a network with the optimizer and the schedule of its entry of `optim`.

    Args:
        kind: kind of the component file.
        module: network on its device.
        config: dataclass that it was built from.
        optim: entry of the network in the `optim` section.
        max_steps: optimizer steps of the run; 0 = unknown, it is one by time.
        provenance: hashes of what the network depends on.
    """
    optimizer = make_optimizer(module, optim)
    return Trainable(
        kind=kind,
        module=module,
        config=asdict(config),
        config_type=type(config),
        optimizer=optimizer,
        scheduler=make_scheduler(optimizer, optim, max_steps),
        max_grad_norm=optim.max_grad_norm,
        progress=RunProgress(max_steps=max_steps),
        ema_decay=optim.ema_decay,
        provenance=provenance,
    )


class Update(NamedTuple):
    """The losses of one micro-batch for one trainable."""

    trainable: str
    """Name of the trainable."""
    loss: Tensor
    """[] loss to minimise: a mean over the micro-batch's targets (see `Stage.num_targets`)."""
    metrics: Mapping[str, Tensor]
    """`"<trainable>/<term>"` -> [] detached, means over the same targets."""


class Figure(NamedTuple):
    """A mean of a validation over other targets than those of the loss."""

    value: Tensor
    """[] mean."""
    weight: float
    """Number of targets; 0 = there are none, and the value says nothing."""


class Workload(NamedTuple):
    """Work of a micro-batch; padding is not in it."""

    samples: Sequence[int] = ()
    """Audio of each clip in samples at `SAMPLE_RATE`, also where only its codes are read."""
    tokens: int = 0
    """Positions of a sequence model; 0 for other networks."""


def audio_workload(batch: Batch) -> Workload:
    """Return the audio of each clip; nothing for batches without audio."""
    return Workload(() if batch.wave_lengths is None else tuple(batch.wave_lengths.tolist()))


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One clip of the validation, as several parts of a stage see it."""

    name: str
    """Key of the clip."""
    waves: Mapping[str, Tensor] = field(default_factory=dict)
    """Title -> [N] float, at `SAMPLE_RATE`; drawn as spectrograms on one scale."""
    images: Mapping[str, Tensor] = field(default_factory=dict)
    """Title -> [H, T] float, each drawn on its own scale, row 0 at the bottom."""


class Stage(Protocol):
    """What is trained. One Trainer does everything else."""

    members: tuple[str, ...]
    """Members that it reads of a clip beside its text: any of `audio` and `codes`."""
    precision: PrecisionPolicy
    """Policy of which of its modules computes in which dtype."""
    trainables: dict[str, Trainable]
    """Name -> network with its optimizer and schedule."""

    @property
    def codes(self) -> CodeConfig | None:
        """Shape of the codes that it reads; None if it reads none."""

    @property
    def full_step(self) -> int:
        """First step that has all updates of the run: 1, unless some of them begin later."""

    def initialise(self, batches: Iterable[Batch]) -> None:
        """Set what depends on data, from the first micro-batches (the same on every rank).

        Called once, before step 1 of a fresh run and before the engines wrap the networks;
        most stages do nothing. `batches` is endless and on the device; take what is needed.
        """

    def num_targets(self, batch: Batch) -> Mapping[str, int]:
        """Return, per trainable, how many targets the loss of `batch` is a mean over.

        The Trainer weighs micro-batches by it, so that a step is a mean over all targets of
        all ranks and of all accumulated micro-batches.
        """

    def updates(self, batch: Batch, step: int) -> Iterator[Update]:
        """Yield once per optimizer update; the Trainer steps before it asks for the next.

        Random numbers come from torch's default generator, which the Trainer seeds from
        (seed, k, number of the update).
        """

    def validate(self, batch: Batch) -> Mapping[str, Tensor | Figure]:
        """Return `"<trainable>/<term>"` -> [] mean over the targets, or `Figure`; no gradients."""

    def workload(self, batch: Batch) -> Workload:
        """Return what a micro-batch on the host holds; it has a clip."""

    def flops(self, batch: Batch) -> Mapping[str, float]:
        """Return module (a name of the precision policy) -> floating-point operations.

        Those that the outputs of a micro-batch on the host need, forward and backward: no padding,
        no recomputation. Empty if nobody counts them.
        """

    def panels(self, batch: Batch) -> Sequence[Panel]:
        """Return a panel for each clip of a batch on the device, or none at all.

        In evaluation mode, without gradients. Only the main rank asks: bare networks, no
        collective.
        """
