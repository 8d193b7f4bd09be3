from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gsv2.training.accounting.audit import EpochCheck, check_ledger, read_ledgers
from gsv2.training.accounting.ledger import LaneEpoch, Ledger, Tally, ledger_to_plain, tally_keys
from gsv2.training.run_folder.records import append_records


class KeyRange:
    """A mixture of two parts with 10 clips in every lane epoch, but none in lane 1 of one."""

    def lane_epoch_keys(self, mixture_part: int, lane: int, epoch: int) -> Iterator[str]:
        count = 0 if (mixture_part, lane) == (1, 1) else 10
        return (f"clip-{mixture_part}-{lane}-{clip}-of-{epoch % 2}" for clip in range(count))


def good_entries() -> list[dict[str, Any]]:
    ledger: Ledger = {}
    for place in [(0, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 1), (0, 0, 2), (1, 0, 0)]:
        lost, *rest = KeyRange().lane_epoch_keys(*place)
        bad = Tally(bad_clips=1, bad_digest=tally_keys([lost]).digest)
        ledger[LaneEpoch(*place)] = tally_keys(rest) + bad
    return ledger_to_plain(ledger)


def check(entries: list[dict[str, Any]]) -> list[EpochCheck]:
    return list(check_ledger(KeyRange(), entries))


def test_a_run_that_followed_its_plan_is_equal_in_every_finished_epoch() -> None:
    assert [str(found) for found in check(good_entries())] == [
        "part 0 of the mixture, epoch 0: 2 lanes equal, 0 differ; 18 clips, 2 quarantined",
        "part 0 of the mixture, epoch 1: 2 lanes equal, 0 differ; 18 clips, 2 quarantined",
        "part 0 of the mixture, epoch 2: 1 lanes equal, 0 differ; 9 clips, 1 quarantined",
        "part 1 of the mixture, epoch 0: 1 lanes equal, 0 differ; 9 clips, 1 quarantined",
    ]


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (lambda entries: entries[0].update(clips=8), "lane 0: 9 clips, but the plan has 10"),
        (
            lambda entries: entries[0].update(digest="0" * 32),
            "lane 0: 10 clips as planned, but not the same ones",
        ),
        (
            lambda entries: entries[0].update(bad_digest="0" * 32),
            "lane 0: 10 clips as planned, but not the same ones",
        ),
        (lambda entries: entries.append(entries[0]), "lane 0: listed 2 times"),
        (lambda entries: entries.pop(0), "lane 0: not listed, but the plan has 10 clips"),
    ],
)
def test_what_differs_is_told_by_its_lane(change: Any, difference: str) -> None:
    entries = sorted(good_entries(), key=lambda entry: (entry["epoch"], entry["lane"]))
    change(entries)
    first, *others = check(entries)
    assert first.differences == (difference,)
    assert str(first).endswith(f"\n  {difference}")
    assert not any(other.differences for other in others)


def test_ledgers_are_read_from_the_rows_that_have_one(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.jsonl"
    entries = good_entries()
    for step, part in enumerate((entries[:2], [], entries[2:])):
        append_records(metrics, [{"step": step, **({"data/ledger": part} if part else {})}])
    assert read_ledgers(metrics) == entries
    with pytest.raises(ValueError, match=r"other\.jsonl does not exist"):
        read_ledgers(tmp_path / "other.jsonl")
