"""Training of the aligner on text and frozen codes; audio is never touched."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.data.stream.batch import Batch
from gsv2.losses.ctc import ctc_losses
from gsv2.models.aligner.characters import (
    EncodedTexts,
    column_log_probs,
    count_characters,
    split_characters,
)
from gsv2.models.aligner.flops import aligner_flops_per_frame
from gsv2.models.aligner.model import Aligner, AlignerConfig, AlignerOutput, read_logits
from gsv2.models.aligner.reading_errors import count_errors
from gsv2.stages.sections import CodesModelSection, check_optim, fill_codes, refuse_excerpts
from gsv2.training.config import RunConfig
from gsv2.training.optim import OptimConfig
from gsv2.training.precision.policy import PrecisionPolicy
from gsv2.training.stage import Panel, Trainable, Update, Workload, make_trainable

logger = logging.getLogger(__name__)

ALIGNER = "aligner"


@dataclass(frozen=True, kw_only=True)
class AlignerModelSection(CodesModelSection):
    """The `model` section."""

    aligner: AlignerConfig = field(default_factory=AlignerConfig)
    """Sizes of the network."""
    vocabulary_clips: int = 20_000
    """Clips whose characters are counted at the start, at most one epoch: the vocabulary."""

    def __post_init__(self) -> None:
        """Check that there is something to count."""
        super().__post_init__()
        if self.vocabulary_clips < 1:
            raise ValueError(
                f"model.vocabulary_clips must be at least 1, but is {self.vocabulary_clips}"
            )


@dataclass(frozen=True, kw_only=True)
class AlignerRunConfig(RunConfig):
    """A run of the aligner stage."""

    model: AlignerModelSection
    """The aligner and the quantizer whose codes it reads."""
    optim: dict[str, OptimConfig] = field(default_factory=lambda: {ALIGNER: OptimConfig()})
    """Optimizer and schedule of `aligner`."""

    def __post_init__(self) -> None:
        """Check that texts are read with whole clips."""
        refuse_excerpts(self.data, "stage=aligner")


class _Prediction(NamedTuple):
    """A batch and what the network says about it."""

    output: AlignerOutput
    """Logits of the characters at each frame."""
    encoded: EncodedTexts
    """The batch's texts, on the device."""
    is_alignable: Tensor
    """[C] bool."""


class AlignerStage:
    """One trainable, `aligner`; its targets are the characters of the texts.

    Characters of clips that cannot be aligned, which need more than two to a frame, are targets
    without loss: `aligner/unalignable` is their share, and each such clip is named once.

    Raises:
        ValueError: the sections `model` and `optim` do not fit together.
    """

    members: tuple[str, ...] = ("codes",)
    full_step = 1

    def __init__(self, config: AlignerRunConfig, device: torch.device) -> None:
        self.precision = PrecisionPolicy(config.precision, (ALIGNER, "losses"))
        check_optim(config.optim, (ALIGNER,))
        quantizer = config.model.load_quantizer()
        self.quantizer_hash = quantizer.fingerprint()
        aligner = fill_codes(config.model.aligner, quantizer.config.codes, "model.aligner")
        self.model = Aligner(aligner)
        self.model.set_codebooks(quantizer.code_vectors().codebooks)
        self.model.to(device)
        self.codes = aligner.codes
        self._flops_per_frame = aligner_flops_per_frame(aligner)
        self._vocabulary_clips = config.model.vocabulary_clips
        self._named: set[str] = set()
        provenance = {"quantizer": self.quantizer_hash}
        optim, steps = config.optim[ALIGNER], config.trainer.max_steps
        trainable = make_trainable("aligner", self.model, aligner, optim, steps, provenance)
        self.trainables = {ALIGNER: trainable}

    def initialise(self, batches: Iterable[Batch]) -> None:
        """Give the frequent characters of the first texts a class each."""
        counts: Counter[str] = Counter()
        num_clips = 0
        for batch in batches:
            if num_clips >= self._vocabulary_clips or batch.epoch > 0:
                break
            num_clips += batch.num_clips
            counts += count_characters(batch.texts)
        if not counts:
            raise ValueError("the first epoch of the training data must hold a text to start from")
        self.model.vocabulary.learn(counts)
        size = self.model.config.vocabulary_size
        logger.info("%d different characters in %d clips", len(counts), num_clips)
        if len(counts) > size:
            rare = sorted(counts, key=lambda c: -counts[c])[size:]
            logger.warning(
                "model.aligner.vocabulary_size is %d: the %d rarest characters (%.2f %% of the "
                "text) are not told apart", size, len(rare),
                100 * sum(counts[c] for c in rare) / counts.total(),
            )  # fmt: skip

    def num_targets(self, batch: Batch) -> Mapping[str, int]:
        """Return the characters."""
        return {ALIGNER: sum(len(split_characters(text)) for text in batch.texts)}

    def workload(self, batch: Batch) -> Workload:
        """Return the code frames; each counts as all of its audio."""
        assert batch.code_lengths is not None
        samples = batch.code_lengths * (SAMPLE_RATE / self.model.config.codes.rate_hz)
        return Workload(samples.long().tolist(), int(batch.code_lengths.sum()))

    def flops(self, batch: Batch) -> Mapping[str, float]:
        """Return what the frames cost the aligner."""
        assert batch.code_lengths is not None
        is_doubled = (
            self._encode(batch.texts, batch.code_lengths.device).required > batch.code_lengths
        )
        frames = float(batch.code_lengths[~is_doubled].sum())
        doubled = float(batch.code_lengths[is_doubled].sum())
        whole, halved = self._flops_per_frame
        return {ALIGNER: whole * frames + halved * doubled}

    def updates(self, batch: Batch, step: int) -> Iterator[Update]:
        """Yield the one update."""
        prediction = self._predict(self.trainables[ALIGNER], batch)
        loss = self._loss(prediction)
        yield Update(ALIGNER, loss, self._metrics(prediction, loss))

    @torch.no_grad()
    def validate(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the same metrics as `updates`, and the errors of greedy reading."""
        prediction = self._predict(self.model, batch)
        metrics = self._metrics(prediction, self._loss(prediction))
        readings = read_logits(prediction.output, self.model.vocabulary) if batch.num_clips else []
        num_errors = count_errors(batch.texts, readings)
        share = num_errors / max(1, int(prediction.encoded.lengths.sum()))
        metrics[f"{ALIGNER}/char_errors"] = torch.tensor(share, device=batch.sequence.device)
        return metrics

    def panels(self, batch: Batch) -> Sequence[Panel]:
        """Return nothing: there is nothing to see or hear."""
        return ()

    def _predict(self, network: Trainable | Aligner, batch: Batch) -> _Prediction:
        """Run the network; on a batch without clips, over one frame that cannot be aligned."""
        device = batch.sequence.device
        codes, lengths = batch.codes, batch.code_lengths
        if not batch.num_clips or codes is None or lengths is None:
            codes = torch.zeros(1, self.codes.num_codebooks, 1, dtype=torch.int64, device=device)
            lengths = torch.ones(1, dtype=torch.int64, device=device)
        encoded = self._encode(batch.texts or ("",), device)
        is_alignable = (encoded.required <= 2 * lengths) & (encoded.lengths > 0)
        self._name_unalignable(batch, is_alignable, encoded, lengths)
        with self.precision.autocast(ALIGNER, device):
            output = network(codes, lengths, encoded.required > lengths)
        return _Prediction(output, encoded, is_alignable)

    def _encode(self, texts: Sequence[str], device: torch.device) -> EncodedTexts:
        encoded = self.model.vocabulary.encode(texts)
        return EncodedTexts(*(tensor.to(device) for tensor in encoded))

    def _loss(self, prediction: _Prediction) -> Tensor:
        """Return the nats of all characters over their number."""
        encoded = prediction.encoded
        losses = ctc_losses(
            column_log_probs(prediction.output.logits, encoded.classes),
            prediction.output.lengths,
            encoded.targets,
            encoded.lengths,
            prediction.is_alignable,
        )
        nothing = prediction.output.logits.sum() * 0.0  # every parameter has a gradient
        return losses.sum() / encoded.lengths.sum().clamp(min=1) + nothing

    def _metrics(self, prediction: _Prediction, loss: Tensor) -> dict[str, Tensor]:
        lengths = prediction.encoded.lengths
        lost = (lengths * ~prediction.is_alignable).sum() / lengths.sum().clamp(min=1)
        return {f"{ALIGNER}/loss": loss.detach(), f"{ALIGNER}/unalignable": lost}

    def _name_unalignable(
        self, batch: Batch, is_alignable: Tensor, encoded: EncodedTexts, lengths: Tensor
    ) -> None:
        """Warn of each clip that cannot be aligned, once."""
        if bool(is_alignable.all()):
            return
        for i, key in enumerate(batch.keys):
            if not bool(is_alignable[i]) and key not in self._named:
                self._named.add(key)
                logger.warning(
                    "clip %s needs at most 2 characters to a code frame, but has %d for %d: its "
                    "alignment is not learnt", key, int(encoded.lengths[i]), int(lengths[i]),
                )  # fmt: skip
