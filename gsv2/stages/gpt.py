"""Training of the semantic GPT on text and frozen codes; audio is never touched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.data.stream.batch import Batch
from gsv2.losses.advance import advance_loss
from gsv2.losses.code_prediction import PredictionLoss, code_prediction_loss
from gsv2.models.gpt.flops import count_gpt_flops
from gsv2.models.gpt.interleave import NUM_STARTS, PackedRows
from gsv2.models.gpt.model import GPTInputs, GPTOutput
from gsv2.models.gpt.refiner import prompt_lengths
from gsv2.models.quantizer.model import Quantizer
from gsv2.stages.gpt_config import GPT, GPTRunConfig, codebook_weights
from gsv2.stages.gpt_figures import gpt_figures
from gsv2.stages.gpt_listening import GPTListeningTest
from gsv2.stages.gpt_network import make_network
from gsv2.stages.gpt_panels import code_panels
from gsv2.stages.gpt_start import start_gpt
from gsv2.stages.sections import check_optim
from gsv2.stages.swapped_texts import with_swapped_texts
from gsv2.text.encoders.config import QWEN2
from gsv2.text.encoders.interface import TextTokens
from gsv2.text.encoders.make import attach_text_encoder
from gsv2.training.precision.policy import PrecisionPolicy
from gsv2.training.stage import Figure, Panel, Update, Workload, make_trainable

T = TypeVar("T")


class GPTStage:
    """One trainable, `gpt`; its targets are the frames of `model.loss_clips`.

    Raises:
        ValueError: the sections `data`, `model` and `optim` do not fit together.
    """

    members: tuple[str, ...] = ("codes",)
    """Members of a clip, `align` among them if a pointer reads; see `gpt_members`."""
    full_step = 1

    def __init__(
        self, config: GPTRunConfig, device: torch.device, quantizer: Quantizer | None = None
    ) -> None:
        """Build it.

        Args:
            config: config of the run.
            device: device to compute on.
            quantizer: one that trains in the same run; None = the one that `config` names.
        """
        self.precision = PrecisionPolicy(config.precision, (GPT, "losses"))
        check_optim(config.optim, (GPT,))
        made = make_network(config, self.members, quantizer)
        self.model, self.members, self.align_clip = made.model, made.members, made.align_clip
        self.quantizer_hash = made.provenance["quantizer"]
        self.codes = self.model.config.codes
        self.weights = codebook_weights(config.model, self.codes.num_codebooks)
        self.loss_clips = config.model.loss_clips
        self.advance_weight = config.model.advance_weight
        self._init = config.init
        self._flops = count_gpt_flops(self.model)
        self.model.to(device)
        optim, steps = config.optim[GPT], config.trainer.max_steps
        trainable = make_trainable(
            "gpt", self.model, self.model.config, optim, steps, made.provenance
        )
        self.trainables = {GPT: trainable}
        self.listening_test: GPTListeningTest | None = None
        count = 0 if made.aligner is None else config.model.validation_sentences
        if count or self.model.config.text_encoder == QWEN2:
            reader = (self.model.config.text_vectors, self.model.config.tokenizer)
            attach_text_encoder(self.model.text_encoder, *reader, None, device)
        if made.aligner is not None and count:
            aligner = made.aligner.to(device)
            autocast = partial(self.precision.autocast, GPT)
            self.listening_test = GPTListeningTest(self.model, aligner, count, autocast)

    @property
    def text_dim(self) -> int | None:
        """Dimension of the text vectors that it reads; None if it reads the texts themselves."""
        return self.model.config.text_vectors.dim

    def initialise(self, batches: Iterable[Batch]) -> None:
        """Take the weights that a fresh run starts from, if any; no parameter depends on data."""
        start_gpt(self.model, self._init, self.quantizer_hash)

    def num_targets(self, batch: Batch) -> Mapping[str, int]:
        """Return the code frames; the end of a clip counts with its frames."""
        if batch.num_clips == 0 or batch.code_lengths is None:
            return {GPT: 0}
        is_target = self.targets(batch)
        lengths = batch.code_lengths if is_target is None else batch.code_lengths[is_target]
        return {GPT: int(lengths.sum())}

    def workload(self, batch: Batch) -> Workload:
        """Return the tokens of the sequences; a code frame counts as all of its audio."""
        assert batch.code_lengths is not None
        samples = batch.code_lengths * (SAMPLE_RATE / self.model.config.codes.rate_hz)
        return Workload(samples.long().tolist(), int(self.tokens(batch).sum()))

    def flops(self, batch: Batch) -> Mapping[str, float]:
        """Return what the sequences cost the GPT."""
        assert batch.code_lengths is not None
        pattern, is_target = self.model.pattern, self.targets(batch)
        learnt = batch.code_lengths if is_target is None else batch.code_lengths[is_target]
        frames = int(learnt.sum())
        tokens = self.tokens(batch)
        total = self._flops.total(
            torch.zeros_like(tokens).index_add(0, batch.sequence, tokens),
            num_inputs=int(pattern.num_code_steps(batch.code_lengths).sum()),
            num_predicted=int(pattern.num_steps(learnt).sum()),
            num_codes=[
                frames + len(learnt),
                *[self.model.num_sampled(frames)] * (pattern.num_codebooks - 1),
            ],
        )
        prompts = prompt_lengths(batch.code_lengths, batch.sequence)
        total += self._flops.refined(learnt, prompts if is_target is None else prompts[is_target])
        num_bytes = int(self._text(batch).lengths.sum()) if self.model.has_pointer else 0
        return {GPT: total + self._flops.pointed(num_bytes, frames)}

    def updates(self, batch: Batch, step: int) -> Iterator[Update]:
        """Yield the one update."""
        loss, metrics = self._loss(batch)
        yield Update(GPT, loss, _named(metrics))

    @torch.no_grad()
    def validate(self, batch: Batch) -> Mapping[str, Tensor | Figure]:
        """Return the metrics of `updates`, `gpt_figures`, and what the right text is worth.

        `gpt/text_gain` is the loss with another clip's text minus that with the right one, in nats
        a frame, all codebooks together. A batch with one text alone has none.
        """
        if batch.num_clips == 0 or batch.codes is None:
            self._loss(batch)  # as many passes as on the other ranks, as ZeRO-3 asks
            return _named(self._loss(batch).metrics)
        is_target = self.targets(batch)
        output = self.predict(self.trainables[GPT], batch, is_target)
        metrics = dict(self._loss_of(output).metrics)
        figures = gpt_figures(batch, output, is_target, self.model.end)
        swapped = with_swapped_texts(batch)
        others = self._loss(swapped).metrics  # on every rank, as ZeRO-3 asks
        if swapped.texts != batch.texts:
            metrics["text_gain"] = others["nats_per_frame"] - metrics["nats_per_frame"]
        return _named({**metrics, **figures})

    @torch.no_grad()
    def panels(self, batch: Batch) -> Sequence[Panel]:
        """Return each clip's codes, the likeliest ones, and how likely the right ones are."""
        assert batch.code_lengths is not None
        output = self.predict(self.model, batch, is_target=None)
        return code_panels(batch.keys, batch.code_lengths, output)

    def tokens(self, batch: Batch) -> Tensor:
        """Return the tokens [C] of the clips of a batch on the host."""
        assert batch.code_lengths is not None
        text_lengths = self._text(batch).lengths
        if self.model.config.reading == "pointer":
            text_lengths = torch.zeros_like(text_lengths)
        return NUM_STARTS + text_lengths + self.model.pattern.num_code_steps(batch.code_lengths)

    def _loss(self, batch: Batch) -> PredictionLoss:
        if batch.num_clips == 0 or batch.codes is None or batch.code_lengths is None:
            return self.no_loss(batch)
        return self._loss_of(self.predict(self.trainables[GPT], batch, self.targets(batch)))

    def _loss_of(self, output: GPTOutput) -> PredictionLoss:
        codes = code_prediction_loss(output.logits, output.targets, self.weights, self.model.end)
        if output.advance_logits is None or output.advance_targets is None:
            return codes
        advance = advance_loss(output.advance_logits, output.advance_targets)
        metrics = {**codes.metrics, "loss_advance": advance.detach()}
        return PredictionLoss(codes.loss + self.advance_weight * advance, metrics)

    def predict(
        self, network: Callable[..., GPTOutput], batch: Batch, is_target: Tensor | None
    ) -> GPTOutput:
        """Return what a network predicts of a batch with clips.

        Args:
            network: the GPT, bare or through its engine, or another of its config.
            batch: clips on the device.
            is_target: [C] bool: clips that are predicted; None = all.
        """
        assert batch.codes is not None
        assert batch.code_lengths is not None
        tokens = self._text(batch)
        device = batch.codes.device
        clips = GPTInputs(
            tokens.ids.to(device),
            tokens.lengths.to(device),
            batch.codes,
            batch.code_lengths,
            batch.sequence,
            batch.alignments,
        )
        with self.precision.autocast(GPT, device):
            return network(clips, _rows(batch), is_target)

    def _text(self, batch: Batch) -> TextTokens:
        """Return the texts of a batch as the GPT reads them."""
        if batch.text_vectors is None or batch.text_vector_lengths is None:
            return self.model.text_encoder.tokenize(batch.texts)
        return TextTokens(batch.text_vectors, batch.text_vector_lengths)

    def targets(self, batch: Batch) -> Tensor | None:
        """Return which clips are learnt, [C] bool; None for all."""
        if self.loss_clips == "all":
            return None
        return batch.sequence.diff(append=batch.sequence[-1:] + 1) != 0

    def no_loss(self, batch: Batch) -> PredictionLoss:
        """Return zeros that still depend on every parameter, for a batch without clips."""
        device = batch.sequence.device
        dim = self.text_dim
        one = torch.ones(1, dtype=torch.int64, device=device)
        frame = replace(
            batch,
            keys=("",),
            texts=(".",),
            sequence=one * 0,
            packed_row=one * 0 if batch.num_packed_rows else None,
            text_vectors=None if dim is None else torch.zeros(1, 1, dim, device=device),
            text_vector_lengths=None if dim is None else one,
            codes=torch.zeros(1, self.codes.num_codebooks, 1, dtype=torch.int64, device=device),
            code_lengths=one,
            alignments=torch.zeros(1, 1, dtype=torch.int64, device=device),
        )
        loss, metrics = self._loss(frame)
        return PredictionLoss(loss * 0.0, {name: value * 0.0 for name, value in metrics.items()})


def _rows(batch: Batch) -> PackedRows | None:
    """Return where the sequences of a batch are packed; None if they are not."""
    if batch.packed_row is None or not batch.num_packed_rows:
        return None
    return PackedRows(batch.packed_row, batch.num_packed_rows, batch.row_tokens)


def _named(metrics: Mapping[str, T]) -> dict[str, T]:
    return {f"{GPT}/{term}": value for term, value in metrics.items()}
