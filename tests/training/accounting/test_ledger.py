from __future__ import annotations

import hashlib
import json
import random
from dataclasses import replace

import pytest

from gsv2.data.plan.window import LanePosition, PartPosition
from gsv2.training.accounting.ledger import (
    LaneEpoch,
    Ledger,
    Tally,
    add_tallies,
    ledger_from_plain,
    ledger_to_plain,
    pop_finished,
    tally_batch,
    tally_keys,
)
from tests.support.toy_stage import torn_batch, toy_batch

KEYS = [f"clip-{i}" for i in range(100)]


def position(*epochs: int) -> LanePosition:
    return LanePosition(3, 0, 0, tuple(PartPosition(epoch, 0, 0, 0.0) for epoch in epochs))


def test_a_digest_is_the_sum_of_the_keys_blake2b_hashes() -> None:
    """So that anybody can compute it with ten lines of another program."""
    hashes = [hashlib.blake2b(key.encode(), digest_size=16).hexdigest() for key in KEYS]
    expected = sum(int(value, 16) for value in hashes) % 2**128
    assert tally_keys(KEYS) == Tally(clips=100, digest=expected)


def test_a_digest_knows_no_order_but_every_clip() -> None:
    whole = tally_keys(KEYS)
    shuffled = random.Random(0).sample(KEYS, len(KEYS))
    assert tally_keys(shuffled[:30]) + tally_keys(shuffled[30:]) == whole
    assert tally_keys(KEYS[1:]).digest != whole.digest
    assert tally_keys([*KEYS, KEYS[0]]).digest != whole.digest
    assert tally_keys([*KEYS[1:], KEYS[1]]).digest != whole.digest  # one lost, one read twice


def test_clips_are_counted_for_the_epoch_of_their_own_part_of_the_mixture() -> None:
    batch = toy_batch(3, bad=1)  # 4 clips of lane 3
    batch = replace(batch, mixture_parts=(0, 1, 1, 0), epochs=(5, 2, 2, 6))
    first, second, third, fourth = batch.keys
    assert tally_batch(batch) == {
        LaneEpoch(0, 3, 5): tally_keys([first]),
        LaneEpoch(1, 3, 2): tally_keys([second, third]),
        LaneEpoch(0, 3, 6): tally_keys([fourth]),
        LaneEpoch(0, 3, 0): Tally(bad_clips=1, bad_digest=tally_keys(["bad-3-0"]).digest),
    }


def test_a_stand_in_of_weight_zero_delivers_nothing_but_its_losses_count() -> None:
    (tally,) = tally_batch(torn_batch(5)).values()
    assert (tally.clips, tally.digest, tally.bad_clips) == (0, 0, 1)


def test_delivered_and_lost_clips_add_up_to_the_plan() -> None:
    lost = tally_keys(KEYS[:7])
    tally = tally_keys(KEYS[7:]) + Tally(bad_clips=7, bad_digest=lost.digest)
    assert tally.planned == (100, tally_keys(KEYS).digest)


@pytest.mark.parametrize(
    ("epochs", "finished"),
    [((0, 0), []), ((1, 0), [(0, 3, 0)]), ((2, 1), [(0, 3, 0), (0, 3, 1), (1, 3, 0)])],
)
def test_a_lane_epoch_is_finished_when_the_lanes_windows_begin_beyond_it(
    epochs: tuple[int, int], finished: list[tuple[int, int, int]]
) -> None:
    """Clips of the next epoch may come before the last of this one, from the same window."""
    places = [LaneEpoch(0, 3, 0), LaneEpoch(0, 3, 1), LaneEpoch(1, 3, 0), LaneEpoch(0, 4, 0)]
    ledger: Ledger = {place: tally_keys([str(place)]) for place in places}
    taken = pop_finished(ledger, {3: position(*epochs)})
    assert [tuple(place) for place in taken] == finished
    assert {**taken, **ledger} == {place: tally_keys([str(place)]) for place in places}
    assert pop_finished(ledger, {3: position(*epochs)}) == {}


def test_a_ledger_comes_back_from_json_in_order_and_with_fixed_digits() -> None:
    ledger: Ledger = {LaneEpoch(0, 10, 0): Tally(clips=2, digest=5)}
    add_tallies(ledger, {LaneEpoch(0, 9, 1): Tally(bad_clips=1, bad_digest=2**128 - 1)})
    plain = json.loads(json.dumps(ledger_to_plain(ledger)))
    assert [value["lane"] for value in plain] == [9, 10]
    assert plain[1]["digest"] == "0" * 31 + "5"
    assert ledger_from_plain(plain) == ledger
