"""Training of the semantic GPT on text and frozen codes; audio is never touched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from gsv2.config import config_to_dict
from gsv2.data.batch import Batch
from gsv2.losses.code_prediction import PredictionLoss, code_prediction_loss
from gsv2.models.component import load_component
from gsv2.models.gpt import GPTConfig, SemanticGPT
from gsv2.models.quantizer import Quantizer
from gsv2.training.checkpoint import find_component
from gsv2.training.optim import OptimConfig, make_optimizer, make_scheduler
from gsv2.training.precision import PrecisionPolicy
from gsv2.training.run import RunConfig
from gsv2.training.stage import Trainable, Update

_NAME = "gpt"


@dataclass(frozen=True, kw_only=True)
class GPTModelSection:
    """The `model` section."""

    quantizer: str
    """Run folder, checkpoint, bundle or file of the quantizer that made the codes."""
    gpt: GPTConfig = field(default_factory=GPTConfig)
    codebook_weights: tuple[float, ...] = ()
    """Weight of each codebook in the loss; empty = all alike."""


@dataclass(frozen=True, kw_only=True)
class GPTRunConfig(RunConfig):
    """A run of the GPT stage."""

    model: GPTModelSection
    optim: dict[str, OptimConfig] = field(default_factory=lambda: {_NAME: OptimConfig()})


class GPTStage:
    """One trainable, `gpt`; its targets are frames."""

    members: tuple[str, ...] = ("codes",)

    def __init__(self, config: GPTRunConfig, device: torch.device) -> None:
        self.precision = PrecisionPolicy(config.precision, (_NAME, "losses"))
        source = Path(config.model.quantizer)
        component = load_component(find_component(source, "quantizer"), "quantizer")
        quantizer = Quantizer.from_component(component)
        self.quantizer_hash = quantizer.fingerprint()
        gpt_config = replace(config.model.gpt, codes=quantizer.config.codes)
        self.weights = _codebook_weights(config.model, gpt_config.codes.num_codebooks)
        self.model = SemanticGPT(gpt_config)
        self.model.set_codebooks(quantizer.code_vectors().codebooks)
        self.model.to(device)
        if set(config.optim) != {_NAME}:
            raise ValueError(f"optim must have the entry {_NAME!r} only, but has {[*config.optim]}")
        optim = config.optim[_NAME]
        optimizer = make_optimizer(self.model, optim)
        self.trainables = {
            _NAME: Trainable(
                kind="gpt",
                module=self.model,
                config=config_to_dict(gpt_config),
                optimizer=optimizer,
                scheduler=make_scheduler(optimizer, optim, config.trainer.max_steps),
                max_grad_norm=optim.max_grad_norm,
                provenance={"quantizer": self.quantizer_hash},
            )
        }

    def initialise(self, batches: Iterable[Batch]) -> None:
        """Do nothing: no parameter depends on data."""

    def num_targets(self, batch: Batch) -> Mapping[str, int]:
        """Return the code frames; the end of a clip counts with its frames."""
        return {_NAME: int(batch.code_lengths.sum()) if batch.code_lengths is not None else 0}

    def updates(self, batch: Batch, step: int) -> Iterator[Update]:
        """Yield the one update."""
        loss, metrics = self._loss(batch)
        yield Update(_NAME, loss, _named(metrics))

    @torch.no_grad()
    def validate(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the same metrics as `updates`."""
        return _named(self._loss(batch).metrics)

    def _loss(self, batch: Batch) -> PredictionLoss:
        if batch.num_clips == 0 or batch.codes is None or batch.code_lengths is None:
            return self._no_loss(batch)
        tokens = self.model.text_encoder.tokenize(batch.texts)
        device = batch.codes.device
        with self.precision.autocast(_NAME, device):
            output = self.trainables[_NAME](
                tokens.ids.to(device),
                tokens.lengths.to(device),
                batch.codes,
                batch.code_lengths,
                batch.sequence,
            )
        return code_prediction_loss(output.logits, output.targets, self.weights, self.model.end)

    def _no_loss(self, batch: Batch) -> PredictionLoss:
        """Return zeros that still depend on every parameter, for a batch without clips."""
        K = self.model.pattern.num_codebooks
        device = batch.sequence.device
        frame = replace(
            batch,
            keys=("",),
            texts=(".",),
            sequence=torch.zeros(1, dtype=torch.int64, device=device),
            codes=torch.zeros(1, K, 1, dtype=torch.int64, device=device),
            code_lengths=torch.ones(1, dtype=torch.int64, device=device),
        )
        loss, metrics = self._loss(frame)
        return PredictionLoss(loss * 0.0, {name: value * 0.0 for name, value in metrics.items()})


def _codebook_weights(model: GPTModelSection, num_codebooks: int) -> tuple[float, ...]:
    weights = model.codebook_weights or (1.0,) * num_codebooks
    if len(weights) != num_codebooks or min(weights) <= 0:
        raise ValueError(
            f"model.codebook_weights must be {num_codebooks} positive numbers (the quantizer's "
            f"codebooks), but is {list(weights)}"
        )
    return weights


def _named(metrics: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{_NAME}/{term}": value for term, value in metrics.items()}
