"""Engine of one trainable on the ranks: the seam between the step and DDP or DeepSpeed.

An engine owns what differs between them: how gradients are shared, where moments live, when
parameters are whole. The Trainer makes one for each trainable; stages never see it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from torch import Tensor

from gsv2.training.engines.host_copies import HostCopy, copy_to_host

MAX_ZERO_STAGE = 3


class EngineError(ValueError):
    """An engine that cannot run what it is given."""


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """One entry of the `engines` section (trainable name -> entry)."""

    kind: Literal["auto", "ddp", "deepspeed"] = "auto"
    """`auto` is DeepSpeed under `accelerate launch --use_deepspeed`, else DDP; on one process DDP
    is plain torch."""
    zero_stage: int = 2
    """What DeepSpeed shards: 0 nothing, 1 moments, 2 gradients too, 3 parameters too."""

    def __post_init__(self) -> None:
        """Check the stage."""
        if not 0 <= self.zero_stage <= MAX_ZERO_STAGE:
            raise ValueError(
                f"zero_stage must lie in 0..{MAX_ZERO_STAGE}, but is {self.zero_stage}"
            )


@dataclass(frozen=True)
class TrainableState:
    """Full tensors on the host, by the names of the bare network.

    However an engine shards its network over ranks, this is what it captures and restores, so
    that a checkpoint of one engine and world size is one of them all.
    """

    weights: Mapping[str, Tensor]
    """Name in the network's `state_dict` -> parameter or buffer, as stored."""
    optimizer: Mapping[str, Tensor]
    """`KEY/PARAMETER` -> tensor of the optimizer, e.g. `exp_avg/head.weight` of the parameter's
    shape and `step/head.weight` []; empty before the first step."""
    average: Mapping[str, Tensor] = field(default_factory=dict)
    """Tensors of `weights`, with the moving averages in place of what is averaged; empty without
    (`gsv2.training.ema`)."""


class Engine(Protocol):
    """A network, its optimizer and its gradients, over all ranks.

    Within a step: any number of forward passes and `backward`, the last with `is_last`; then
    `grad_norm`; then either `step` or `skip`. These are collective, as are `to_whole`, `capture`
    and `restore`.
    """

    loss_scale: float
    """Factor that `backward` multiplies losses by, 1 at first; norms and steps are of the gradients
    divided by it. To be set before the first backward pass of an update."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the network; only in its own updates, or without gradients."""

    def backward(self, loss: Tensor, *, is_last: bool) -> None:
        """Add the gradients of `loss`; with `is_last`, average the sum over the ranks."""

    def grad_norm(self) -> Tensor:
        """Return the L2 norm [] of the averaged gradients, before clipping, equal on all ranks."""

    def step(self, max_norm: float) -> None:
        """Clip the gradients to `max_norm`, take one optimizer step, forget the gradients."""

    def skip(self) -> None:
        """Forget the gradients: weights and moments stay as they are."""

    def train(self, mode: bool) -> None:
        """Put the network into training or evaluation mode."""

    def local_weights(self) -> Mapping[str, Tensor]:
        """Return what this rank holds of each parameter, by name.

        That is all of it, or under ZeRO-3 a flat partition, whose end may be padding.
        """

    def to_local(self, name: str, whole: Tensor) -> Tensor:
        """Return what is this rank's of a whole parameter, in the form of `local_weights`."""

    def to_whole(self, name: str, part: Tensor) -> Tensor:
        """Return the values of a whole parameter, of which each rank gives its part."""

    def swapped_weights(self, parts: Mapping[str, Tensor]) -> AbstractContextManager[None]:
        """Put other weights, in the form of `local_weights`, into the network inside.

        For passes without gradients; parameters without an entry stay as they are. Nothing is sent:
        a rank may leave by an error of its own.
        """

    def pending_moment_bytes(self) -> int:
        """Return how many bytes of moments the first step will take on this rank; 0 after it."""

    def capture(self, copy: HostCopy = copy_to_host) -> TrainableState | None:
        """Return copies of everything, on the main rank; None on the others.

        Args:
            copy: copies one tensor to the host: `copy("weights/NAME", tensor)` and
                `copy("optimizer/KEY/NAME", tensor)`. Whoever saves often hands in memory that is
                used again (`gsv2.training.engines.host_copies`); no other copy is made.
        """

    def restore(self, state: TrainableState) -> None:
        """Take weights and moments, given on every rank.

        Raises:
            EngineError: `state` is of another network.
        """
