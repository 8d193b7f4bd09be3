"""Memory of the largest micro-batches of a run, estimated without computing them.

`gsv2.training.dry_run` tries them on the device itself; here floats are fake
(`gsv2.training.fake_floats`), so that a laptop tells what a GPU would need. Networks of text and
audio that are frozen count with what they compute. What a framework takes for itself (CUDA's
context, workspaces of kernels, libraries in memory, fragments between tensors) does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from torch import Tensor, nn

from gsv2.data.config import DataConfig
from gsv2.data.stream.batch import Batch
from gsv2.training.dry_run import largest_batches
from gsv2.training.engines.module_state import pending_moment_bytes, trained
from gsv2.training.fake_floats import FakeFloats
from gsv2.training.stage import Stage

GIB = 2**30


class MemoryEstimate(NamedTuple):
    """Bytes that one rank of a step holds, nothing sharded."""

    batch: str
    """What is extreme about the micro-batch that needs most."""
    weights: int
    """Bytes of parameters, buffers and averages of the weights."""
    moments: int
    """Bytes of the optimizers' moments."""
    gradients: int
    """Bytes of the gradients of all networks, most of which come and go with `passes`."""
    passes: int
    """Most bytes that forward and backward passes hold at a time, gradients among them."""

    @property
    def total(self) -> int:
        """Most bytes at a time."""
        return self.weights + self.moments + self.passes

    def __str__(self) -> str:
        """Say it in a line."""
        parts = {
            "weights": self.weights,
            "moments": self.moments,
            "gradients": self.gradients,
            "activations": max(self.passes - self.gradients, 0),
        }
        told = ", ".join(f"{name} {value / GIB:.2f}" for name, value in parts.items())
        return f"{self.total / GIB:.2f} GiB at the peak, with {self.batch} ({told})"


def estimate_memory(data: DataConfig, stage: Stage, num_local: int) -> MemoryEstimate:
    """Estimate what a rank needs for a step of the largest micro-batches.

    Args:
        data: section whose budget they fill.
        stage: stage on the host, before its engines; nothing of it is changed.
        num_local: micro-batches that a rank has of a step. What more of them need is
            extrapolated from one and two.

    Raises:
        RuntimeError: shapes depend on values that nobody has computed.
    """
    largest = None
    trainables = stage.trainables.values()
    for name, batch in largest_batches(data, stage).items():
        one = _peak_bytes(stage, [batch])
        two = _peak_bytes(stage, [batch, replace(batch, micro_batch=1)]) if num_local > 1 else one
        peak = one + (two - one) * (num_local - 1)
        if largest is None or peak > largest.passes:
            largest = MemoryEstimate(
                batch=name,
                weights=sum(_weight_bytes(t.module, t.ema_decay) for t in trainables)
                + sum(_weight_bytes(module, 0.0) for module in stage.precision.frozen.values()),
                moments=sum(
                    pending_moment_bytes(t.optimizer, trained(t.optimizer)) for t in trainables
                ),
                gradients=sum(_bytes(p) for t in trainables for p in trained(t.optimizer)),
                passes=peak,
            )
    assert largest is not None, "there are two extremes"
    return largest


def _peak_bytes(stage: Stage, batches: Sequence[Batch]) -> int:
    """Return the most bytes that the passes of a step of micro-batches hold at a time."""
    networks = [trainable.module for trainable in stage.trainables.values()]
    was_training = [network.training for network in networks]
    floats = FakeFloats()
    for network in networks:
        network.train()
    try:
        with floats.faked(*networks, *stage.precision.frozen.values()), floats:
            _run_phases(stage, [_with_fake_audio(batch, floats) for batch in batches])
    finally:
        for network, mode in zip(networks, was_training, strict=True):
            network.train(mode)
    return floats.peak_bytes


def _run_phases(stage: Stage, batches: Sequence[Batch]) -> None:
    """Bring all micro-batches through one phase after the other, as `StepRunner` does."""
    running = [stage.updates(batch, stage.full_step) for batch in batches]
    while True:
        name: str | None = None
        for updates in running:
            update = next(updates, None)
            if update is None:
                return
            name = update.trainable
            update.loss.backward()
            del update
        assert name is not None, "there is a micro-batch"
        stage.trainables[name].module.zero_grad(set_to_none=True)


def _with_fake_audio(batch: Batch, floats: FakeFloats) -> Batch:
    wave, vectors = batch.wave, batch.text_vectors
    return replace(
        batch,
        wave=None if wave is None else floats.fake(wave),
        text_vectors=None if vectors is None else floats.fake(vectors),
    )


def _weight_bytes(module: nn.Module, ema_decay: float) -> int:
    parameters = sum(map(_bytes, module.parameters()))
    return parameters * (2 if ema_decay else 1) + sum(map(_bytes, module.buffers()))


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
