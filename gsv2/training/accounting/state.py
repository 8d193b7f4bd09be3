"""State of a run beside its weights: where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from gsv2.data.plan.window import LanePosition
from gsv2.training.accounting.ledger import Ledger, ledger_from_plain, ledger_to_plain
from gsv2.training.precision.loss_scale import LossScale

_KEYS = {"record": "row", "positions": "marks"}
"""Field -> its key in files, where that has another name."""


@dataclass(kw_only=True)
class TrainState:
    """The numbers that a checkpoint holds; equal on all ranks."""

    step: int = 0
    """Optimizer steps done."""
    next_micro_batch: int = 0
    """Global number k of the first micro-batch not yet used."""
    skipped: int = 0
    """Updates left out for a loss or gradient that was not finite, and steps without data."""
    spikes: int = 0
    """Updates left out for a loss or gradient norm far above those before."""
    left_out: dict[str, list[int]] = field(default_factory=dict)
    """`skipped`, `spikes` -> steps of the last ones, as far as limits look back."""
    history: dict[str, list[float]] = field(default_factory=dict)
    """Past norms and losses by which `gsv2.training.guard` knows spikes."""
    loss_scales: dict[str, LossScale] = field(default_factory=dict)
    """Trainable -> the factor of its losses, where the run computes in fp16."""
    record: dict[str, Any] | None = None
    """Metrics of this step whose validation was broken off by a signal; the next launch ends it."""
    samples_seen: int = 0
    """Clips trained on, over all ranks."""
    audio_seen: dict[str, int] = field(default_factory=dict)
    """Language -> samples at `SAMPLE_RATE` of the clips trained on, over all ranks; whole numbers,
    so that their sums are exact."""
    bad_clips: int = 0
    """Clips that could not be read, over all ranks."""
    time_sec: float = 0.0
    """Wall time of the run up to here, over all its launches."""
    ending_sec: float = 0.0
    """Time that the longest validation and the longest checkpoint took together."""
    positions: dict[int, LanePosition] = field(default_factory=dict)
    """Lane -> latest position among the micro-batches used: any layout of ranks goes on there."""
    ledger: Ledger = field(default_factory=dict)
    """Lane epochs that no record of `metrics.jsonl` has yet."""
    sequences: dict[int, int] = field(default_factory=dict)
    """Number of clips -> sequences of so many, since the last record."""
    wandb_id: str | None = None
    """Id of the run in Weights & Biases, also on a disk that has nothing but the checkpoint."""

    @property
    def last_record(self) -> int:
        """Last step whose record is written, if it was logged: not the one that `record` holds."""
        return self.step if self.record is None else self.step - 1

    @classmethod
    def plain_keys(cls) -> dict[str, str]:
        """Return key of `to_plain` -> name of the field."""
        return {_KEYS.get(f.name, f.name): f.name for f in fields(cls)}

    def to_plain(self) -> dict[str, Any]:
        """Return the values as JSON has them."""
        return {
            **{key: getattr(self, name) for key, name in self.plain_keys().items()},
            "marks": [self.positions[lane].to_plain() for lane in sorted(self.positions)],
            "ledger": ledger_to_plain(self.ledger),
            "sequences": sorted(self.sequences.items()),
            "loss_scales": {name: asdict(scale) for name, scale in self.loss_scales.items()},
        }

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> TrainState:
        """Return the state that `to_plain` described."""
        names = cls.plain_keys()
        positions = [LanePosition.from_plain(position) for position in values["marks"]]
        return cls(
            **{
                **{names[key]: value for key, value in values.items()},
                "positions": {position.lane: position for position in positions},
                "ledger": ledger_from_plain(values["ledger"]),
                "sequences": dict(values["sequences"]),
                "loss_scales": {
                    name: LossScale(**scale)
                    for name, scale in values.get("loss_scales", {}).items()
                },
            }
        )
