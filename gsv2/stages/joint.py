"""Training of the semantic GPT and the waveform model in one launch, from one stream.

They share the clips and the frozen quantizer, never gradients: each is trained as its own stage
trains it, `gsv2.stages.gpt` and `gsv2.stages.vits2`. Micro-batches are cut for the waveform model,
by frames; the GPT has the same clips in packed rows (`gsv2.stages.joint_rows`).

With `model.trained_quantizer` one launch trains all three: the quantizer with the waveform model
until its step; then it is frozen, and the GPT learns the codes that it makes of the audio.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from gsv2.data.stream.batch import Batch
from gsv2.stages.gpt import GPTStage
from gsv2.stages.gpt_config import GPT, GPTModelSection, GPTRunConfig, gpt_members
from gsv2.stages.gpt_start import NONE
from gsv2.stages.joint_rows import pack_rows
from gsv2.stages.sections import check_optim, refuse_excerpts
from gsv2.stages.vits2 import VITS2Stage
from gsv2.stages.vits2_config import (
    DISCRIMINATOR,
    GENERATOR,
    VITS2ModelSection,
    VITS2RunConfig,
    gan_optim,
)
from gsv2.stages.vits2_network import vits2_members
from gsv2.stages.vits2_parts import make_precision
from gsv2.stages.vits2_quantizer import QUANTIZER, SPEECH_ENCODER, QuantizerTraining
from gsv2.training.checkpoints.checkpoint import find_component
from gsv2.training.optim import OptimConfig
from gsv2.training.precision.probes import LOSSES
from gsv2.training.stage import Figure, Panel, Trainable, Update, Workload

_GAN = (GENERATOR, DISCRIMINATOR)

logger = logging.getLogger(__name__)


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
        refuse_excerpts(self.data, "stage=joint")
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
            self._check_trained()

    def _check_trained(self) -> None:
        """Check that a GPT can wait for the codes of a quantizer that trains in the same run."""
        aligner = self.model.aligner
        if self.model.gpt.reading != "attention" or aligner is not None:
            raise ValueError(
                "model.trained_quantizer of stage=joint needs model.gpt.reading=attention and no "
                "model.aligner, which learns from codes that stay, but they are "
                f"{self.model.gpt.reading} and {aligner}"
            )
        if self.init.gpt != NONE:
            raise ValueError(
                "init.gpt must be none for model.trained_quantizer, whose codes no GPT knows, but "
                f"is {self.init.gpt}"
            )


class JointStage:
    """Yields the GPT's update, the discriminators', the generator's.

    Raises:
        ValueError: the sections `data`, `model`, `optim` and `precision` do not fit together.
    """

    members: tuple[str, ...] = VITS2Stage.members

    def __init__(self, config: JointRunConfig, device: torch.device) -> None:
        trained = config.model.trained_quantizer
        is_trained = trained is not None
        self.quantizer: QuantizerTraining | None = None
        gan = (*_GAN, QUANTIZER) if is_trained else _GAN
        check_optim(config.optim, (GPT, *gan))
        self.precision = make_precision(config, (GPT, *gan))
        if is_trained:
            self.vits2 = VITS2Stage(_share(config, None, gan), device)
            self.quantizer = self.vits2.quantizer
            assert self.quantizer is not None, "it trains"
            self.gpt = GPTStage(_share(config, None, (GPT,)), device, self.quantizer.network)
            self.precision.frozen.update(self.vits2.precision.frozen)
        else:
            quantizer = find_component(Path(config.model.quantizer), "quantizer")
            self.gpt = GPTStage(_share(config, quantizer, (GPT,)), device)
            self.vits2 = VITS2Stage(_share(config, quantizer, gan), device)
        self._until_step, max_steps = 0, config.trainer.max_steps
        if trained is not None:
            self._until_step = trained.until_step
            if max_steps and self._until_step >= max_steps:
                logger.warning(
                    "model.trained_quantizer.until_step (%d) is not below trainer.max_steps (%d): "
                    "the GPT never learns",
                    *(self._until_step, max_steps),
                )
        self._reads = not is_trained
        self.members = joint_members(config.model)
        self.codes = None if is_trained else self.gpt.codes
        self.align_clip = self.gpt.align_clip
        self.listening_test = self.gpt.listening_test
        self.trainables: dict[str, Trainable] = {**self.gpt.trainables, **self.vits2.trainables}

    @property
    def full_step(self) -> int:
        """The first step with every update, but for that of a quantizer that trains before."""
        return max(self.vits2.full_step, self._until_step + 1)

    def initialise(self, batches: Iterable[Batch]) -> None:
        """Take the weights that the GPT starts from, if any; start codebooks that train."""
        self.gpt.initialise(batches)
        self.vits2.initialise(batches)

    def num_targets(self, batch: Batch) -> Mapping[str, int]:
        """Count the code frames for the GPT, the clips for the others."""
        counted = self._with_code_lengths(batch)
        return {**self.gpt.num_targets(counted), **self.vits2.num_targets(batch)}

    def workload(self, batch: Batch) -> Workload:
        """Return the audio, and the tokens of the GPT."""
        tokens = self.gpt.workload(self._with_code_lengths(batch)).tokens if self._reads else 0
        return self.vits2.workload(batch)._replace(tokens=tokens)

    def flops(self, batch: Batch) -> Mapping[str, float]:
        """Return what the clips cost each network in the step that was asked for last."""
        read = self.gpt.flops(self._with_code_lengths(batch)) if self._reads else {}
        return {**read, **self.vits2.flops(batch)}

    def updates(self, batch: Batch, step: int) -> Iterator[Update]:
        """Yield the update of the GPT, once it has codes, then those of the GAN."""
        self._reads = self._has_codes(step)
        if self._reads:
            batch = self._with_codes(batch)
            yield from self._gpt_updates(batch, step)
        yield from self.vits2.updates(batch, step)

    def _has_codes(self, step: int) -> bool:
        """Tell whether the GPT learns in a step, from 1; give it the codebooks of its codes."""
        if self.quantizer is None:
            return True
        if self.quantizer.trains_at(step):
            return False
        self.gpt.model.set_codebooks(self.quantizer.network.codebooks.entries)
        return True

    def _with_codes(self, batch: Batch) -> Batch:
        """Return a batch on the device with its codes, which no corpus has of a trained one."""
        if self.quantizer is None or not batch.num_clips:
            return batch
        return self.quantizer.with_codes(batch)

    def _with_code_lengths(self, batch: Batch) -> Batch:
        """Return a batch on the host with the lengths of its codes."""
        return batch if self.quantizer is None else self.quantizer.with_code_lengths(batch)

    def _gpt_updates(self, batch: Batch, step: int) -> Iterator[Update]:
        packed, padding = self._packed(batch)
        for update in self.gpt.updates(packed, step):
            share = torch.tensor(padding, device=update.loss.device)
            yield update._replace(metrics={**update.metrics, f"{GPT}/padding": share})

    def _packed(self, batch: Batch) -> tuple[Batch, float]:
        """Return what the GPT reads of a batch, and the share of its rows that is empty."""
        if not batch.num_clips or batch.code_lengths is None:
            return batch, 0.0
        on_host = replace(batch, code_lengths=batch.code_lengths.cpu())
        tokens = self.gpt.tokens(on_host).tolist()
        packed = pack_rows(batch, tokens)
        return packed, 1 - sum(tokens) / (packed.num_packed_rows * packed.row_tokens)

    def validate(self, batch: Batch) -> Mapping[str, Tensor | Figure]:
        """Return the metrics of both stages; of the GPT none before it has codes."""
        if not self._reads:
            return self.vits2.validate(batch)
        batch = self._with_codes(batch)
        return {**self.gpt.validate(batch), **self.vits2.validate(batch)}

    def panels(self, batch: Batch) -> Sequence[Panel]:
        """Return the waves of the waveform model above the codes of the GPT, once it has some."""
        if not self._reads:
            return self.vits2.panels(batch)
        batch = self._with_codes(batch)
        pairs = zip(self.vits2.panels(batch), self.gpt.panels(batch), strict=True)
        return [replace(wave, images=codes.images) for wave, codes in pairs]


def joint_members(section: JointModelSection) -> tuple[str, ...]:
    """Return what either stage reads of a clip beside its text."""
    return tuple(dict.fromkeys(gpt_members(vits2_members(section), section)))


def _share(config: JointRunConfig, quantizer: Path | None, names: Sequence[str]) -> JointRunConfig:
    """Return what is for one of the two stages.

    Args:
        config: config of the joint run.
        quantizer: one file for both: a run folder may have a newer one at the second look; None
            for one that trains.
        names: trainables of that stage.
    """
    modules = (*names, LOSSES, *([SPEECH_ENCODER] if QUANTIZER in names else []))
    return replace(
        config,
        model=config.model
        if quantizer is None
        else replace(config.model, quantizer=str(quantizer)),
        optim={name: config.optim[name] for name in names},
        precision={name: dtype for name, dtype in config.precision.items() if name in modules},
    )
