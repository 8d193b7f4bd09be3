"""Memory of the largest micro-batches of a run, estimated without computing them.

`gsv2.training.dry_run` tries them on the device itself; here floats are fake
(`gsv2.training.fake_floats`), so that a laptop tells what a GPU would need. Networks of text and
audio that are frozen count with what they compute. What a framework takes for itself (CUDA's
context, workspaces of kernels, libraries in memory, fragments between tensors) does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
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
    """Kind of extreme of the micro-batch that needs most."""
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
        listed = ", ".join(f"{name} {value / GIB:.3g}" for name, value in parts.items())
        return f"{self.total / GIB:.3g} GiB at the peak, with {self.batch} ({listed})"


def estimate_memory(data: DataConfig, stage: Stage, num_local: int) -> MemoryEstimate:
    """Estimate what a rank needs for a step of the largest micro-batches.

    Args:
        data: section whose budget they fill.
        stage: stage on the host, before its engines; nothing of it is changed.
        num_local: micro-batches that a rank has of a step. What more than two need of a stage with
            several updates, which keeps the graphs of all, is extrapolated.

    Raises:
        RuntimeError: shapes depend on values that nobody has computed.
    """
    largest = None
    trainables = stage.trainables.values()
    for name, batch in largest_batches(data, stage).items():
        batches = [batch, replace(batch, micro_batch=1)]
        peak, num_phases = _pass(stage, batches[:num_local])
        if num_local > 2 and num_phases > 1:
            peak += (peak - _pass(stage, [batch])[0]) * (num_local - 2)
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


def _pass(stage: Stage, batches: Sequence[Batch]) -> tuple[int, int]:
    """Return the most bytes that a step of micro-batches holds at a time, and its updates."""
    networks = [trainable.module for trainable in stage.trainables.values()]
    was_training = [network.training for network in networks]
    floats = FakeFloats()
    for network in networks:
        network.train()
    try:
        with floats.faked(*networks, *stage.precision.frozen.values()), floats:
            num_phases = _run_phases(stage, [_with_fake_audio(batch, floats) for batch in batches])
    finally:
        for network, mode in zip(networks, was_training, strict=True):
            network.train(mode)
    return floats.peak_bytes, num_phases


def _run_phases(stage: Stage, batches: Sequence[Batch]) -> int:
    """Bring all micro-batches through one phase after the other, as `StepRunner` does.

    Returns:
        Number of phases.
    """
    running = [stage.updates(batch, stage.full_step) for batch in batches]
    for num_done in count():
        name: str | None = None
        for updates in running:
            update = next(updates, None)
            if update is None:
                return num_done
            name = update.trainable
            update.loss.backward()
            del update
        assert name is not None, "there is a micro-batch"
        stage.trainables[name].module.zero_grad(set_to_none=True)
    raise AssertionError("a stage has finitely many updates")


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
