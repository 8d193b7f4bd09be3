"""Audit of a run: its ledger against the plan, which has each clip exactly once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from gsv2.training.accounting.ledger import LaneEpoch, Ledger, Tally, ledger_from_plain, tally_keys
from gsv2.training.run_folder.records import read_records


class KeyPlan(Protocol):
    """The part of `gsv2.data.plan.plan.Plan` that an audit asks."""

    def lane_epoch_keys(self, mixture_part: int, lane: int, epoch: int) -> Iterator[str]:
        """Yield the keys of a lane epoch."""


@dataclass(frozen=True, kw_only=True)
class EpochCheck:
    """Comparison of the lanes with the plan, in one epoch of a part of the mixture."""

    mixture_part: int
    epoch: int
    clips: int
    """Delivered."""
    bad_clips: int
    """Quarantined."""
    num_equal: int
    """Lanes that read what the plan says, each clip once."""
    differences: tuple[str, ...]
    """A sentence for each lane that did not."""

    def __str__(self) -> str:
        """Return one line, and one more for each difference."""
        line = (
            f"part {self.mixture_part} of the mixture, epoch {self.epoch}: "
            f"{self.num_equal} lanes equal, {len(self.differences)} differ; "
            f"{self.clips} clips, {self.bad_clips} quarantined"
        )
        return "\n  ".join([line, *self.differences])


def read_ledgers(metrics: Path) -> list[Mapping[str, Any]]:
    """Return the lane epochs that a run has finished, as its `metrics.jsonl` lists them.

    Raises:
        ValueError: there is no such file.
    """
    if not metrics.is_file():
        raise ValueError(f"{metrics} does not exist; name a run")
    return [entry for record in read_records(metrics) for entry in record.get("data/ledger", ())]


def check_ledger(plan: KeyPlan, entries: Iterable[Mapping[str, Any]]) -> Iterator[EpochCheck]:
    """Compare finished lane epochs with the plan; open ones are not looked at.

    Args:
        entries: ledger entries from `read_ledgers`.

    Yields:
        Epoch after epoch of each part of the mixture. Lanes that should have written an entry
        before a later one, and did not, differ.
    """
    entries = list(entries)
    ledger = ledger_from_plain(entries)
    repeats = Counter(_place(entry) for entry in entries)
    for part, epoch in sorted({(place.mixture_part, place.epoch) for place in ledger}):
        due = _due_lanes(ledger, part, epoch)
        checked = [_check_lane(plan, ledger, place, repeats[place]) for place in due]
        tallies = [ledger.get(place, Tally()) for place in due]
        yield EpochCheck(
            mixture_part=part,
            epoch=epoch,
            clips=sum(tally.clips for tally in tallies),
            bad_clips=sum(tally.bad_clips for tally in tallies),
            num_equal=checked.count(None),
            differences=tuple(text for text in checked if text is not None),
        )


def _due_lanes(ledger: Ledger, part: int, epoch: int) -> list[LaneEpoch]:
    """Return the lanes that have finished this or a later epoch of a part of the mixture."""
    lanes = {p.lane for p in ledger if p.mixture_part == part and p.epoch >= epoch}
    return [LaneEpoch(part, lane, epoch) for lane in sorted(lanes)]


def _check_lane(plan: KeyPlan, ledger: Ledger, place: LaneEpoch, count: int) -> str | None:
    """Return what differs in a lane epoch."""
    planned = tally_keys(plan.lane_epoch_keys(*place))
    if count > 1:
        return f"lane {place.lane}: listed {count} times"
    tally = ledger.get(place, Tally())
    if tally.planned == planned.planned:
        return None
    if count == 0:
        return f"lane {place.lane}: not listed, but the plan has {planned.clips} clips"
    read, _ = tally.planned
    if read != planned.clips:
        return f"lane {place.lane}: {read} clips, but the plan has {planned.clips}"
    return f"lane {place.lane}: {read} clips as planned, but not the same ones"


def _place(entry: Mapping[str, Any]) -> LaneEpoch:
    return LaneEpoch(entry["component"], entry["lane"], entry["epoch"])
