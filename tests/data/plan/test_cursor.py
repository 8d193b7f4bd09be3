from collections import Counter

import numpy as np
import pytest

from gsv2.data.config import DataConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.plan.cursor import LaneCursor
from gsv2.data.plan.plan import Plan
from gsv2.data.plan.window import LanePosition

MIB = 2**20


def plan(*sources, **values):
    values = {"lanes": 2, "window_mb": 4.0, "max_frames": 4000, **values}
    config = DataConfig(sources=list(sources), **values)
    return Plan(CorpusIndex.open(*sources), config, 0, ("audio",))


def windows(made, lane, count):
    found = [made.window(lane)]
    while len(found) < count:
        found.append(found[-1].following)
    return found


@pytest.fixture(scope="module")
def single(bare_corpus):
    return plan(bare_corpus([90, 40, 130, 60]))


@pytest.fixture(scope="module")
def mixed(bare_corpus):
    return plan(
        bare_corpus([200, 200], weight=0.7), bare_corpus([30], weight=0.2, seed=1),
        bare_corpus([12], weight=0.1, seed=2),
    )  # fmt: skip


def num_bytes(made, rows):
    sizes = made.index.numbers("audio_length") + made.index.numbers("json_length")
    return sizes[rows].sum()


@pytest.mark.parametrize("name", ["single", "mixed"])
def test_a_window_holds_at_most_its_bytes_and_is_full(name, request):
    made = request.getfixturevalue(name)
    found = windows(made, 1, 12)
    sizes = [num_bytes(made, window.rows) for window in found]
    assert max(sizes) <= 4 * MIB
    if name == "mixed":
        assert min(sizes) > 3 * MIB, "a mixture does not stop at the end of an epoch"


def test_a_clip_above_the_limit_is_a_window_alone(bare_corpus):
    made = plan(bare_corpus([20]), window_mb=1e-6)
    assert [len(window.rows) for window in windows(made, 0, 8)] == [1] * 8


def test_a_window_of_small_clips_ends_with_their_number(bare_corpus):
    made = plan(bare_corpus([300]), window_clips=17, window_mb=1e3)
    sizes = [len(window.rows) for window in windows(made, 0, 6)]
    assert set(sizes) == {17}
    sources = [bare_corpus([300], weight=1.0), bare_corpus([300], weight=2.0)]
    mixture = plan(*sources, window_clips=18, window_mb=1e3)
    rows = [window.rows for window in windows(mixture, 0, 8)]
    assert [len(of_window) for of_window in rows] == [18] * 8
    assert all(0 < (of_window < 300).sum() < 18 for of_window in rows)


def test_with_one_part_a_window_is_of_one_epoch(single):
    for window in windows(single, 0, 30):
        assert {epoch for batch in window.batches for _, epoch in batch.passes} == {
            window.position.parts[0].epoch
        }


@pytest.mark.parametrize("name", ["single", "mixed"])
def test_a_mark_is_all_that_it_takes_to_go_on(name, request):
    made = request.getfixturevalue(name)
    found = windows(made, 1, 15)
    for number in (0, 3, 9):
        again = made.window(1, LanePosition.from_plain(found[number].position.to_plain()))
        for expected in found[number:]:
            assert again.position == expected.position
            assert (again.rows == expected.rows).all()
            assert again.batches == expected.batches
            again = again.following


def test_every_window_of_a_mixture_has_its_shares(mixed):
    seconds = mixed.index.numbers("duration_sec")
    source = np.array([mixed.index.shard_of(row).source for row in range(mixed.index.num_clips)])
    total = np.zeros(3)
    longest = seconds.max()
    for window in windows(mixed, 0, 40):
        taken = [seconds[window.rows[source[window.rows] == part]].sum() for part in range(3)]
        total += taken
        expected = np.array([0.7, 0.2, 0.1]) * total.sum()
        assert np.abs(total - expected).max() <= 2 * longest


def test_every_clip_of_a_part_once_an_epoch_whatever_its_weight(mixed):
    seen = {}
    for lane in range(2):
        for window in windows(mixed, lane, 60):
            for batch in window.batches:
                for (part, epoch), rows in zip(batch.passes, batch.sequences, strict=True):
                    seen.setdefault((part, epoch, lane), Counter()).update(rows)
    assert max(epoch for part, epoch, _ in seen if part == 2) > 20
    num_checked = 0
    for part in range(3):
        last = min(max(e for c, e, at in seen if c == part and at == lane) for lane in range(2))
        members = {
            row for shard in mixed.parts[part].shards for row in range(shard.start, shard.stop)
        }
        for epoch in range(last):
            read = sum((seen[part, epoch, lane] for lane in range(2)), Counter())
            assert set(read.values()) == {1}
            assert set(read) == members
            num_checked += 1
    assert num_checked > 20


def test_a_sequence_is_of_one_pass_so_that_no_clip_prompts_itself(mixed):
    for window in windows(mixed, 0, 40):
        for batch in window.batches:
            for rows in batch.sequences:
                assert len(set(rows)) == len(rows)


def test_rows_of_a_window_lie_in_the_order_of_their_tars(single, mixed):
    for made in (single, mixed):
        for window in windows(made, 0, 10):
            shards = np.array([made.index.shard_of(row).number for row in window.rows])
            turns = 1 + int((np.diff(shards) != 0).sum())
            backward = (np.diff(window.rows) < 0) & (np.diff(shards) == 0)
            assert backward.sum() <= len(made.parts) + 4, "ranges of one tar in any order"
            assert turns <= 12


def test_a_cursor_moves_forward_only(single):
    cursor = LaneCursor(single.window(0))
    expected = [batch for window in windows(single, 0, 6) for batch in window.batches]
    for place in (0, 1, 5, 5, len(expected) - 1):
        window, batch = cursor.take(place)
        assert batch == expected[place]
        assert window.position.place <= place < window.position.place + len(window.batches)
    with pytest.raises(ValueError, match=r"lane 0: micro-batch 0 of the lane lies before"):
        cursor.take(0)
