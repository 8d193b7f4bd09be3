"""Training of the semantic GPT and the waveform model in one launch, from one stream.

They share the clips and the frozen quantizer, never gradients: each is trained as its own stage
trains it, `gsv2.stages.gpt` and `gsv2.stages.vits2`. Micro-batches are cut for the waveform model,
by frames; the GPT has the same clips in packed rows (`gsv2.stages.joint_rows`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from gsv2.data.stream.batch import Batch
from gsv2.stages.gpt import GPTStage
from gsv2.stages.gpt_config import GPT, GPTModelSection, GPTRunConfig, gpt_members
from gsv2.stages.joint_rows import pack_rows
from gsv2.stages.sections import check_optim
from gsv2.stages.vits2 import VITS2Stage
from gsv2.stages.vits2_config import (
    DISCRIMINATOR,
    GENERATOR,
    VITS2ModelSection,
    VITS2RunConfig,
    gan_optim,
)
from gsv2.training.checkpoints.checkpoint import find_component
from gsv2.training.optim import OptimConfig
from gsv2.training.precision.policy import PrecisionPolicy
from gsv2.training.precision.probes import LOSSES
from gsv2.training.stage import Figure, Panel, Trainable, Update, Workload

_GAN = (GENERATOR, DISCRIMINATOR)


@dataclass(frozen=True, kw_only=True)
class JointModelSection(GPTModelSection, VITS2ModelSection):
    """The `model` section: those of the two stages side by side, with one `quantizer`."""


@dataclass(frozen=True, kw_only=True)
class JointRunConfig(GPTRunConfig, VITS2RunConfig):
    """A run of both stages."""

    model: JointModelSection
    """Both models, their losses and the quantizer whose codes they read."""
    optim: dict[str, OptimConfig] = field(
        default_factory=lambda: {GPT: OptimConfig()} | gan_optim()
    )
    """Optimizers and schedules of `gpt`, `generator` and `discriminator`."""

    def __post_init__(self) -> None:
        """Check that the budget of a micro-batch bounds its padded audio."""
        if self.data.max_frames is None:
            raise ValueError(
                "data.max_frames must be set for stage=joint, in place of data.max_tokens "
                f"({self.data.max_tokens}) and data.batching=pack: VITS2 pads every clip to the "
                "longest, which a budget of tokens does not bound"
            )
        if self.model.generator.prior != "codes":
            raise ValueError(
                "model.generator.prior must be codes for stage=joint, whose GPT makes them, but is "
                f"{self.model.generator.prior}"
            )
        if self.model.trained_quantizer is not None:
            raise ValueError(
                "model.trained_quantizer must be left out for stage=joint, whose GPT learns codes "
                "that stay; train it in a run of stage=vits2 before"
            )


class JointStage:
    """Yields the GPT's update, the discriminators', the generator's.

    Raises:
        ValueError: the sections `data`, `model`, `optim` and `precision` do not fit together.
    """

    members: tuple[str, ...] = VITS2Stage.members

    def __init__(self, config: JointRunConfig, device: torch.device) -> None:
        names = (GPT, *_GAN)
        check_optim(config.optim, names)
        self.precision = PrecisionPolicy(config.precision, (*names, LOSSES))
        quantizer = find_component(Path(config.model.quantizer), "quantizer")
        self.gpt = GPTStage(_share(config, quantizer, (GPT,)), device)
        self.vits2 = VITS2Stage(_share(config, quantizer, _GAN), device)
        self.members = gpt_members(self.members, config.model)
        self.codes = self.gpt.codes
        self.align_clip = self.gpt.align_clip
        self.listening_test = self.gpt.listening_test
        self.trainables: dict[str, Trainable] = {**self.gpt.trainables, **self.vits2.trainables}

    @property
    def full_step(self) -> int:
        """The first step with every update."""
        return self.vits2.full_step

    def initialise(self, batches: Iterable[Batch]) -> None:
        """Take the weights that the GPT starts from, if any; no part depends on data."""
        self.gpt.initialise(batches)

    def num_targets(self, batch: Batch) -> Mapping[str, int]:
        """Count the code frames for the GPT, the clips for the others."""
        return {**self.gpt.num_targets(batch), **self.vits2.num_targets(batch)}

    def workload(self, batch: Batch) -> Workload:
        """Return the audio, and the tokens of the GPT."""
        return self.vits2.workload(batch)._replace(tokens=self.gpt.workload(batch).tokens)

    def flops(self, batch: Batch) -> Mapping[str, float]:
        """Return what the clips cost each network."""
        return {**self.gpt.flops(batch), **self.vits2.flops(batch)}

    def updates(self, batch: Batch, step: int) -> Iterator[Update]:
        """Yield the update of the GPT, then those of the GAN."""
        packed, padding = self._packed(batch)
        for update in self.gpt.updates(packed, step):
            share = torch.tensor(padding, device=update.loss.device)
            yield update._replace(metrics={**update.metrics, f"{GPT}/padding": share})
        yield from self.vits2.updates(batch, step)

    def _packed(self, batch: Batch) -> tuple[Batch, float]:
        """Return what the GPT reads of a batch, and the share of its rows that is empty."""
        if not batch.num_clips or batch.code_lengths is None:
            return batch, 0.0
        on_host = replace(batch, code_lengths=batch.code_lengths.cpu())
        tokens = self.gpt.tokens(on_host).tolist()
        packed = pack_rows(batch, tokens)
        return packed, 1 - sum(tokens) / (packed.num_packed_rows * packed.row_tokens)

    def validate(self, batch: Batch) -> Mapping[str, Tensor | Figure]:
        """Return the metrics of both stages."""
        return {**self.gpt.validate(batch), **self.vits2.validate(batch)}

    def panels(self, batch: Batch) -> Sequence[Panel]:
        """Return the waves of the waveform model above the codes of the GPT."""
        pairs = zip(self.vits2.panels(batch), self.gpt.panels(batch), strict=True)
        return [replace(wave, images=codes.images) for wave, codes in pairs]


def _share(config: JointRunConfig, quantizer: Path, names: Sequence[str]) -> JointRunConfig:
    """Return what is for one of the two stages.

    Args:
        config: config of the joint run.
        quantizer: one file for both: a run folder may have a newer one at the second look.
        names: trainables of that stage.
    """
    modules = (*names, LOSSES)
    return replace(
        config,
        model=replace(config.model, quantizer=str(quantizer)),
        optim={name: config.optim[name] for name in names},
        precision={name: dtype for name, dtype in config.precision.items() if name in modules},
    )
