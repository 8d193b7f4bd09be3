"""Training of a GPT on preferences (DPO, arXiv 2305.18290): codes of clips above rejected ones.

Of each sequence the last clip is spoken, with all others as its prompts; its rejected codes are
made of its own, or given. The reference is the GPT that `init.gpt` names, and stays as it is.

A pointer goes through the whole text whatever is said, so that rejected codes are spoken under the
pointer of the chosen ones at another pace; its moves are no part of the preference.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from gsv2.data.stream.batch import Batch
from gsv2.losses.code_figures import clip_nats
from gsv2.losses.preference import LogProbabilities, PreferenceLoss, preference_loss
from gsv2.lru import LruCache
from gsv2.models.gpt.model import GPTOutput
from gsv2.nn.codes import NO_CODE
from gsv2.stages.dpo_reference import load_reference
from gsv2.stages.gpt import GPTStage
from gsv2.stages.gpt_config import GPT, GPTModelSection, GPTRunConfig
from gsv2.stages.gpt_start import NONE
from gsv2.stages.rejected_codes import FAULTS, FaultMaker, GivenCodes, stretch_alignments
from gsv2.training.checkpoints.checkpoint import find_component
from gsv2.training.stage import Figure, Panel, Update, Workload

_KEPT_SEQUENCES = 1_000_000
"""Sequences whose log-probabilities by the reference are kept."""


@dataclass(frozen=True, kw_only=True)
class DPOModelSection(GPTModelSection):
    """The `model` section: that of the GPT, and its preferences."""

    beta: float = 0.1
    """Strength with which the GPT is kept near the one that it began as."""
    faults: tuple[str, ...] = FAULTS
    """What is done to a clip's codes to make rejected ones: a span is `dropped`, `repeated`, or the
    clip is `truncated`."""
    min_span_sec: float = 0.2
    """Shortest span."""
    max_span_sec: float = 1.0
    """Longest span."""
    rejected: dict[str, str] = field(default_factory=dict)
    """Folder of a corpus -> sidecar with rejected codes of its clips, in place of made ones; clips
    that it lacks have made ones."""

    def __post_init__(self) -> None:
        """Check what no type can."""
        super().__post_init__()
        if not 0 < self.beta < math.inf:
            raise ValueError(f"model.beta must be above 0, but is {self.beta}")
        unknown = sorted(set(self.faults) - set(FAULTS))
        if unknown or not self.faults:
            raise ValueError(
                f"model.faults must be of {', '.join(FAULTS)}, but are {[*self.faults]}"
            )
        if not 0 < self.min_span_sec <= self.max_span_sec < math.inf:
            raise ValueError(
                f"model.max_span_sec must be at least model.min_span_sec ({self.min_span_sec}), "
                f"which is above 0, but is {self.max_span_sec}"
            )
        if self.gpt.depth_frames != 1:
            raise ValueError(
                "model.gpt.depth_frames must be 1 for stage=dpo, which compares whole clips, but "
                f"is {self.gpt.depth_frames}"
            )


@dataclass(frozen=True, kw_only=True)
class DPORunConfig(GPTRunConfig):
    """A run of the dpo stage."""

    model: DPOModelSection
    """The GPT, its preferences and the quantizer whose codes it reads."""


class DPOStage:
    """One trainable, `gpt`; its targets are pairs, one a sequence.

    Raises:
        ValueError: the sections `data`, `init`, `model` and `optim` do not fit together.
    """

    members: tuple[str, ...] = GPTStage.members
    full_step = 1

    def __init__(self, config: DPORunConfig, device: torch.device) -> None:
        if config.init.gpt == NONE:
            raise ValueError("init.gpt must name the GPT to begin from for stage=dpo, but is none")
        last = replace(config, model=replace(config.model, loss_clips="last"))
        self.gpt = GPTStage(last, device)
        self.members, self.codes = self.gpt.members, self.gpt.codes
        self.align_clip, self.listening_test = self.gpt.align_clip, self.gpt.listening_test
        self.precision, self.trainables = self.gpt.precision, self.gpt.trainables
        self.beta = config.model.beta
        file = find_component(Path(config.init.gpt), "gpt")
        self.reference = load_reference(file, self.gpt).to(device)
        rate = self.codes.rate_hz
        spans = (config.model.min_span_sec, config.model.max_span_sec)
        least, most = (max(1, round(sec * rate)) for sec in spans)
        self._made = FaultMaker(config.model.faults, (least, most), config.seed)
        given = config.model.rejected
        self._given = GivenCodes(given, self.gpt.quantizer_hash) if given else None
        self._cache: LruCache[tuple[str, ...], tuple[float, float]] = LruCache(_KEPT_SEQUENCES)

    def initialise(self, batches: Iterable[Batch]) -> None:
        """Take the weights of the reference."""
        self.gpt.initialise(batches)

    def num_targets(self, batch: Batch) -> Mapping[str, int]:
        """Return the number of pairs."""
        return {GPT: len(_sequences(batch))}

    def workload(self, batch: Batch) -> Workload:
        """Return the audio of the chosen codes, and their tokens."""
        return self.gpt.workload(batch)

    def flops(self, batch: Batch) -> Mapping[str, float]:
        """Return twice what the chosen codes cost: rejected ones are about as long."""
        return {name: 2 * cost for name, cost in self.gpt.flops(batch).items()}

    def updates(self, batch: Batch, step: int) -> Iterator[Update]:
        """Yield the one update."""
        loss, metrics = self._loss(batch)
        yield Update(GPT, loss, _named(metrics))

    @torch.no_grad()
    def validate(self, batch: Batch) -> Mapping[str, Tensor | Figure]:
        """Return the metrics of `updates`, and those of the GPT's own stage as `gpt/codes/...`."""
        frames = float(self.gpt.num_targets(batch)[GPT])
        own: dict[str, Figure] = {}
        for name, value in self.gpt.validate(batch).items():
            figure = value if isinstance(value, Figure) else Figure(value, frames)
            own[f"{GPT}/codes/{name.removeprefix(f'{GPT}/')}"] = figure
        return {**own, **_named(self._loss(batch).metrics)}

    def panels(self, batch: Batch) -> Sequence[Panel]:
        """Return the panels of the GPT's own stage."""
        return self.gpt.panels(batch)

    def _loss(self, batch: Batch) -> PreferenceLoss:
        if batch.num_clips == 0 or batch.codes is None:
            passes = [self.gpt.no_loss(batch).loss for _ in range(2)]  # as many as for pairs
            zero = torch.stack(passes).sum()
            nothing = torch.zeros((), device=zero.device)
            terms = LogProbabilities(nothing[None], nothing[None])
            metrics = preference_loss(terms, terms, self.beta).metrics
            return PreferenceLoss(zero, {name: value * 0.0 for name, value in metrics.items()})
        rejected = self.reject(batch)
        network = self.trainables[GPT]
        policy = LogProbabilities(*(self._log_probs(network, of) for of in (batch, rejected)))
        return preference_loss(policy, self._by_reference(batch, rejected), self.beta)

    def reject(self, batch: Batch) -> Batch:
        """Return a batch with the rejected codes of the last clip of each sequence.

        The sequences leave their packed rows, which have no room for longer codes.
        """
        assert batch.codes is not None
        assert batch.code_lengths is not None
        is_last = self.gpt.targets(batch)
        assert is_last is not None, "the last clips are learnt"
        found: list[Tensor] = []
        for place, (length, last) in enumerate(
            zip(batch.code_lengths.tolist(), is_last.tolist(), strict=True)
        ):
            codes = batch.codes[place, :, :length].cpu()
            found.append(self._rejected(batch.keys[place], codes) if last and length else codes)
        lengths = torch.tensor([codes.shape[1] for codes in found], device=batch.codes.device)
        padded = pad_sequence([c.T for c in found], batch_first=True, padding_value=NO_CODE)
        alignments = batch.alignments
        if alignments is not None:
            alignments = stretch_alignments(alignments, batch.code_lengths, lengths)
        return replace(
            batch,
            codes=padded.transpose(1, 2).to(batch.codes.device),
            code_lengths=lengths,
            alignments=alignments,
            packed_row=None,
            num_packed_rows=0,
            row_tokens=0,
        )

    def _rejected(self, key: str, codes: Tensor) -> Tensor:
        given = None if self._given is None else self._given.find(key)
        return self._made.make(key, codes) if given is None else given

    def _log_probs(self, network: Callable[..., GPTOutput], batch: Batch) -> Tensor:
        """Return the log-probability [P] of the last clip of each sequence."""
        assert batch.code_lengths is not None
        is_last = self.gpt.targets(batch)
        output = self.gpt.predict(network, batch, is_last)
        frames = batch.code_lengths if is_last is None else batch.code_lengths[is_last]
        found = -clip_nats(output.logits, output.targets, frames)
        if output.advance_logits is not None:  # a parameter without a gradient would break DDP
            found = found + 0.0 * output.advance_logits.sum()
        return found

    @torch.no_grad()
    def _by_reference(self, batch: Batch, rejected: Batch) -> LogProbabilities:
        """Return what the reference gives, which is computed once for each sequence of keys."""
        sequences = _sequences(batch)
        known = [self._cache.get(keys) for keys in sequences]
        if None in known:
            chosen, others = (self._log_probs(self.reference, of) for of in (batch, rejected))
            fresh = list(zip(chosen.tolist(), others.tolist(), strict=True))
            known = [self._cache.put(k, pair) for k, pair in zip(sequences, fresh, strict=True)]
        table = torch.tensor(known, device=batch.sequence.device)
        return LogProbabilities(table[:, 0], table[:, 1])


def _sequences(batch: Batch) -> list[tuple[str, ...]]:
    """Return the keys of each sequence."""
    found: dict[int, list[str]] = {}
    for key, number in zip(batch.keys, batch.sequence.tolist(), strict=True):
        found.setdefault(number, []).append(key)
    return [tuple(keys) for keys in found.values()]


def _named(metrics: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{GPT}/{term}": value for term, value in metrics.items()}
