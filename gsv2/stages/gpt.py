"""Training of the semantic GPT on text and frozen codes; audio is never touched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from gsv2.data.config import DataConfig
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.data.stream.batch import Batch
from gsv2.losses.code_prediction import PredictionLoss, code_prediction_loss
from gsv2.models.gpt.flops import count_gpt_flops
from gsv2.models.gpt.interleave import NUM_STARTS, Rows
from gsv2.models.gpt.model import GPTConfig, GPTOutput, SemanticGPT
from gsv2.models.gpt.patterns import make_pattern
from gsv2.stages.gpt_panels import code_panels
from gsv2.stages.sections import CodesModelSection, check_optim, fill_codes
from gsv2.training.config import RunConfig
from gsv2.training.optim import OptimConfig
from gsv2.training.precision.policy import PrecisionPolicy
from gsv2.training.stage import Panel, Update, Workload, make_trainable

GPT = "gpt"


@dataclass(frozen=True, kw_only=True)
class GPTModelSection(CodesModelSection):
    """The `model` section."""

    gpt: GPTConfig = field(default_factory=GPTConfig)
    """Sizes and kinds of the network's parts."""
    codebook_weights: tuple[float, ...] = ()
    """Weight of each codebook in the loss; empty = all alike."""
    loss_clips: Literal["all", "last"] = "all"
    """Clips of a sequence whose codes are learnt: all, so that each is spoken with 0, 1, ...
    prompts, or the last alone, spoken with all others as its prompts."""


@dataclass(frozen=True, kw_only=True)
class GPTRunConfig(RunConfig):
    """A run of the GPT stage."""

    model: GPTModelSection
    """The GPT, its loss and the quantizer whose codes it reads."""
    optim: dict[str, OptimConfig] = field(default_factory=lambda: {GPT: OptimConfig()})
    """Optimizer and schedule of `gpt`."""


class GPTStage:
    """One trainable, `gpt`; its targets are the frames of `model.loss_clips`.

    Raises:
        ValueError: the sections `data`, `model` and `optim` do not fit together.
    """

    members: tuple[str, ...] = ("codes",)
    full_step = 1

    def __init__(self, config: GPTRunConfig, device: torch.device) -> None:
        self.precision = PrecisionPolicy(config.precision, (GPT, "losses"))
        check_optim(config.optim, (GPT,))
        quantizer = config.model.load_quantizer()
        self.quantizer_hash = quantizer.fingerprint()
        gpt_config = fill_codes(config.model.gpt, quantizer.config.codes, "model.gpt")
        self.weights = _codebook_weights(config.model, gpt_config.codes.num_codebooks)
        self.loss_clips = config.model.loss_clips
        _check_token_count(config.data, gpt_config)
        self.model = SemanticGPT(gpt_config)
        self.model.set_codebooks(quantizer.code_vectors().codebooks)
        self._flops = count_gpt_flops(self.model)
        self.model.to(device)
        self.codes = gpt_config.codes
        provenance = {"quantizer": self.quantizer_hash}
        optim, steps = config.optim[GPT], config.trainer.max_steps
        trainable = make_trainable("gpt", self.model, gpt_config, optim, steps, provenance)
        self.trainables = {GPT: trainable}

    def initialise(self, batches: Iterable[Batch]) -> None:
        """Do nothing: no parameter depends on data."""

    def num_targets(self, batch: Batch) -> Mapping[str, int]:
        """Return the code frames; the end of a clip counts with its frames."""
        if batch.num_clips == 0 or batch.code_lengths is None:
            return {GPT: 0}
        is_target = self._targets(batch)
        lengths = batch.code_lengths if is_target is None else batch.code_lengths[is_target]
        return {GPT: int(lengths.sum())}

    def workload(self, batch: Batch) -> Workload:
        """Return the tokens of the sequences; a code frame counts as all of its audio."""
        assert batch.code_lengths is not None
        samples = batch.code_lengths * (SAMPLE_RATE / self.model.config.codes.rate_hz)
        return Workload(samples.long().tolist(), int(self._tokens(batch).sum()))

    def flops(self, batch: Batch) -> Mapping[str, float]:
        """Return what the sequences cost the GPT."""
        assert batch.code_lengths is not None
        pattern, is_target = self.model.pattern, self._targets(batch)
        learnt = batch.code_lengths if is_target is None else batch.code_lengths[is_target]
        frames = int(learnt.sum())
        tokens = self._tokens(batch)
        total = self._flops.total(
            torch.zeros_like(tokens).index_add(0, batch.sequence, tokens),
            num_inputs=int(pattern.num_code_steps(batch.code_lengths).sum()),
            num_predicted=int(pattern.num_steps(learnt).sum()),
            num_codes=[frames + len(learnt), *[frames] * (pattern.num_codebooks - 1)],
        )
        return {GPT: total}

    def updates(self, batch: Batch, step: int) -> Iterator[Update]:
        """Yield the one update."""
        loss, metrics = self._loss(batch)
        yield Update(GPT, loss, _named(metrics))

    @torch.no_grad()
    def validate(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the same metrics as `updates`."""
        return _named(self._loss(batch).metrics)

    @torch.no_grad()
    def panels(self, batch: Batch) -> Sequence[Panel]:
        """Return each clip's codes, the likeliest ones, and how likely the right ones are."""
        assert batch.code_lengths is not None
        output = self._predict(self.model, batch, is_target=None)
        return code_panels(batch.keys, batch.code_lengths, output)

    def _tokens(self, batch: Batch) -> Tensor:
        """Return the tokens [C] of the clips of a batch on the host."""
        assert batch.code_lengths is not None
        text_lengths = self.model.text_encoder.tokenize(batch.texts).lengths
        return NUM_STARTS + text_lengths + self.model.pattern.num_code_steps(batch.code_lengths)

    def _loss(self, batch: Batch) -> PredictionLoss:
        if batch.num_clips == 0 or batch.codes is None or batch.code_lengths is None:
            return self._no_loss(batch)
        output = self._predict(self.trainables[GPT], batch, self._targets(batch))
        return code_prediction_loss(output.logits, output.targets, self.weights, self.model.end)

    def _predict(
        self, network: Callable[..., GPTOutput], batch: Batch, is_target: Tensor | None
    ) -> GPTOutput:
        assert batch.codes is not None
        tokens = self.model.text_encoder.tokenize(batch.texts)
        device = batch.codes.device
        with self.precision.autocast(GPT, device):
            return network(
                tokens.ids.to(device),
                tokens.lengths.to(device),
                batch.codes,
                batch.code_lengths,
                batch.sequence,
                _rows(batch),
                is_target,
            )

    def _targets(self, batch: Batch) -> Tensor | None:
        """Return which clips are learnt, [C] bool; None for all."""
        if self.loss_clips == "all":
            return None
        return batch.sequence.diff(append=batch.sequence[-1:] + 1) != 0

    def _no_loss(self, batch: Batch) -> PredictionLoss:
        """Return zeros that still depend on every parameter, for a batch without clips."""
        K = self.model.pattern.num_codebooks
        device = batch.sequence.device
        frame = replace(
            batch,
            keys=("",),
            texts=(".",),
            sequence=torch.zeros(1, dtype=torch.int64, device=device),
            packed_row=torch.zeros(1, dtype=torch.int64, device=device)
            if batch.num_packed_rows
            else None,
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


def _check_token_count(data: DataConfig, gpt: GPTConfig) -> None:
    """Check that no clip has more tokens than the plan counts for it.

    It counts text bytes + frames * steps_per_frame + clip_overhead_tokens; the layout
    (`gsv2.models.gpt.interleave`) has text bytes + `NUM_STARTS` + the pattern's steps of codes.
    Under `max_frames` it counts no tokens.
    """
    if data.max_tokens is None:
        return
    K = gpt.codes.num_codebooks
    pattern = make_pattern(gpt.pattern, K)
    steps = max(data.steps_per_frame, pattern.stride)
    overhead = NUM_STARTS + max(int(pattern.num_code_steps(torch.tensor(1))) - steps, 0)
    if data.steps_per_frame < steps:
        raise ValueError(
            f"data.steps_per_frame must be at least {steps} for model.gpt.pattern={gpt.pattern} "
            f"of {K} codebooks, but is {data.steps_per_frame}; data.clip_overhead_tokens must "
            f"then be at least {overhead}, and is {data.clip_overhead_tokens}"
        )
    if data.clip_overhead_tokens < overhead:
        raise ValueError(
            f"data.clip_overhead_tokens must be at least {overhead} for model.gpt.pattern="
            f"{gpt.pattern} of {K} codebooks and data.steps_per_frame={steps}, but is "
            f"{data.clip_overhead_tokens}"
        )


def _rows(batch: Batch) -> Rows | None:
    """Return where the sequences of a batch are packed; None if they are not."""
    if batch.packed_row is None or not batch.num_packed_rows:
        return None
    return Rows(batch.packed_row, batch.num_packed_rows, batch.row_tokens)


def _named(metrics: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{GPT}/{term}": value for term, value in metrics.items()}
