from collections import Counter
from itertools import islice

import numpy as np
import pytest

from gsv2.data.config import DataConfig, SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import CorpusError
from gsv2.data.plan.plan import Plan, check_layout, describe_plan, validation_plan

FRAMES = {"max_frames": 4000}
TOKENS = {"max_tokens": 3000}


def plan(index, seed=0, **values):
    values = {"lanes": 6, "window_mb": 8.0, **(values or FRAMES)}
    if "max_tokens" not in values:
        values.setdefault("max_frames", 4000)
    members = ("codes",) if "max_tokens" in values else ("audio",)
    return Plan(index, DataConfig(sources=[SourceConfig(path="x")], **values), seed, members)


@pytest.fixture(scope="module")
def index(bare_index):
    return bare_index([90, 40, 130, 60])


def rows_of(item):
    return [row for sequence in item.sequences for row in sequence]


@pytest.mark.parametrize("values", [FRAMES, TOKENS])
def test_every_clip_exactly_once_per_lane_epoch(index, values):
    made = plan(index, **values)
    seen = {epoch: Counter() for epoch in range(3)}
    for item in made.iterate():
        if item.epoch > 3:
            break
        if item.epoch < 3:
            seen[item.epoch].update(rows_of(item))
    expected = Counter(np.flatnonzero(index.numbers("duration_sec") >= 0.4).tolist())
    assert all(counts == expected for counts in seen.values())


def test_the_order_changes_from_epoch_to_epoch_and_seed_to_seed(index):
    def order(seed, epoch):
        made = plan(index, seed=seed)
        return [item.sequences for item in islice(made.iterate(), 400) if item.epoch == epoch]

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)


@pytest.mark.parametrize("readers", [1, 2, 3, 6])
def test_any_number_of_readers_makes_the_same_sequence(index, readers):
    alone = list(islice(plan(index).iterate(), 90))
    shares = [
        list(islice(plan(index).iterate(start, stride=readers), 90 // readers))
        for start in range(readers)
    ]
    together = sorted((item for share in shares for item in share), key=lambda m: m.micro_batch)
    assert together == alone


def test_a_stream_from_k_equals_the_rest_of_an_unbroken_one(index):
    unbroken = list(islice(plan(index).iterate(), 320))
    assert unbroken[-1].epoch >= 2
    for k in (0, 1, 7, 83, 211, 299):
        fresh = plan(index)
        assert fresh.micro_batch(k) == unbroken[k]
        assert list(islice(fresh.iterate(k), 20)) == unbroken[k : k + 20]


def test_marks_find_the_way_to_any_micro_batch_of_any_layout(index):
    unbroken = list(islice(plan(index).iterate(), 320))
    for k in (1, 83, 211, 290):
        positions = {item.lane: item.window.position for item in unbroken[:k]}
        for stride in (1, 2, 3):
            found = list(islice(plan(index).iterate(k, stride, positions), 10))
            assert found == unbroken[k : k + 10 * stride : stride]


def test_with_marks_nothing_before_them_is_planned(index, monkeypatch):
    made = plan(index)
    unbroken = list(islice(made.iterate(), 320))
    positions = {item.lane: item.window.position for item in unbroken[:300]}
    fresh, asked = plan(index), []
    cut = fresh._windows.cut
    monkeypatch.setattr(
        fresh._windows, "cut", lambda position: asked.append(position) or cut(position)
    )
    next(fresh.iterate(300, positions=positions))
    assert len(asked) <= 2


def test_marks_of_another_mixture_are_an_error(index, bare_corpus):
    sources = [bare_corpus([20], weight=1.0), bare_corpus([20], weight=1.0)]
    config = DataConfig(sources=sources, lanes=6, max_frames=4000)
    mixed = Plan(CorpusIndex.open(*sources), config, 0, ("audio",))
    with pytest.raises(ValueError, match="a mixture of 1 parts, but the config has 2"):
        next(mixed.iterate(positions={0: plan(index).window(0).position}))


def test_micro_batch_k_is_the_next_of_lane_k_modulo_lanes(index):
    items = list(islice(plan(index).iterate(), 60))
    assert [item.micro_batch for item in items] == list(range(60))
    assert [item.lane for item in items] == [k % 6 for k in range(60)]
    for lane in range(6):
        epochs = [item.epoch for item in items if item.lane == lane]
        assert epochs == sorted(epochs)


@pytest.mark.parametrize("values", [FRAMES, TOKENS])
def test_padded_cost_stays_within_the_budget_and_padding_is_its_share(index, values):
    (unit, limit), *_ = values.items()
    lengths = index.numbers("num_samples") // 640
    if unit == "max_tokens":
        lengths = index.numbers("num_code_frames") + index.numbers("text_bytes") + 4
    for item in islice(plan(index, **values).iterate(), 200):
        parts = lengths[rows_of(item)].tolist()
        if unit == "max_tokens":
            parts = [int(lengths[list(s)].sum()) for s in item.sequences]
        cost = len(parts) * max(parts)
        assert cost <= limit
        assert item.tokens == sum(parts)
        assert item.padding == pytest.approx(1 - sum(parts) / cost)


def test_sequences_have_one_speaker_and_no_clip_twice(index):
    speakers = index.strings("speaker").to_pylist()
    for item in islice(plan(index, max_clips=3).iterate(), 200):
        rows = rows_of(item)
        assert len(set(rows)) == len(rows)
        assert all(len({speakers[row] for row in s}) == 1 for s in item.sequences)
        assert all(len(s) <= 3 for s in item.sequences)


def test_the_same_speaker_name_in_two_sources_is_two_voices(bare_corpus):
    index = CorpusIndex.open(bare_corpus([30]), bare_corpus([30]))
    made = plan(index, lanes=1, window_mb=1000.0)
    for item in made.single_pass():
        assert all(len({row < 30 for row in s}) == 1 for s in item.sequences)


def test_one_pass_has_every_clip_once_numbered_from_zero(index):
    config = DataConfig(sources=[SourceConfig(path="x")], lanes=64, max_frames=4000)
    items = list(validation_plan(index, config, 0, ("audio",)).single_pass())
    assert [item.micro_batch for item in items] == list(range(len(items)))
    assert sorted(row for item in items for row in rows_of(item)) == list(range(index.num_clips))


@pytest.mark.parametrize(("sizes", "lanes"), [([5], 5), ([1], 1), ([1, 1, 9], 4), ([3, 3], 6)])
def test_as_few_clips_as_lanes_are_enough(bare_index, sizes, lanes):
    made = plan(bare_index(sizes), lanes=lanes)
    read = Counter(row for item in made.single_pass() for row in rows_of(item))
    assert read == Counter(range(sum(sizes)))
    assert {item.lane for item in islice(made.iterate(), lanes)} == set(range(lanes))


def test_fewer_clips_than_lanes_is_an_error_that_says_what_to_change(bare_index):
    with pytest.raises(CorpusError, match=r"set data.lanes to 5 or less"):
        plan(bare_index([5]), lanes=8)


def test_clips_outside_the_limits_are_left_out_and_counted(index):
    made = plan(index, min_clip_sec=2.0, max_clip_sec=10.0)
    seconds = index.numbers("duration_sec")
    assert made.left_out == {
        "shorter than data.min_clip_sec": int((seconds < 2).sum()),
        "longer than data.max_clip_sec": int((seconds > 10).sum()),
    }
    read = [seconds[row] for item in made.single_pass() for row in rows_of(item)]
    assert len(read) == made.num_clips == index.num_clips - sum(made.left_out.values())
    assert 2.0 <= min(read)
    assert max(read) <= 10.0


def test_a_budget_below_many_clips_is_an_error_and_below_few_is_counted(index):
    frames = index.numbers("num_samples") // 640
    with pytest.raises(CorpusError, match="above the budget of 300 frames"):
        plan(index, max_frames=300)
    limit = int(np.sort(frames)[-2])
    assert plan(index, max_frames=limit).left_out == {"longer than data.max_frames": 1}


def test_clips_without_codes_are_left_out_only_where_codes_are_read(tiny_corpus):
    index = CorpusIndex.open(tiny_corpus.source)
    assert plan(index, lanes=1).num_clips == 12
    with pytest.raises(CorpusError, match="no codes in the corpus"):
        plan(index, lanes=1, max_tokens=3000)


def test_described_micro_batches_name_who_reads_them(index):
    described = describe_plan(plan(index, lanes=12), world=2, workers=3, start=4)
    rows = list(islice(described, 12))
    assert list(rows[0]) == [
        "micro_batch", "lane", "rank", "worker", "epoch", "sequences", "tokens", "padding"
    ]  # fmt: skip
    assert [row["rank"] for row in rows] == [0, 1] * 6
    assert [row["worker"] for row in rows] == [0, 0, 1, 1, 2, 2] * 2
    assert rows[0]["sequences"][0][0].startswith("s")


@pytest.mark.parametrize(
    ("lanes", "world", "workers", "nearest"), [(8, 3, 1, "6 or 9"), (8, 4, 4, "16"), (1, 2, 0, "2")]
)
def test_a_layout_that_does_not_divide_the_lanes_names_what_would(lanes, world, workers, nearest):
    with pytest.raises(ValueError, match=f"nearest that fit: {nearest}$"):
        check_layout(lanes, world, workers)
    check_layout(12, 3, 2)


def test_the_keys_of_a_lane_epoch_are_those_of_its_micro_batches(index):
    made = plan(index)
    read = {}
    for item in islice(made.iterate(), 400):
        read.setdefault((item.lane, item.epoch), []).extend(map(index.key, rows_of(item)))
    for lane in range(6):
        for epoch in range(2):
            assert sorted(made.lane_epoch_keys(0, lane, epoch)) == sorted(read[lane, epoch])


def test_a_validation_knows_no_weights_and_no_temperature(bare_corpus):
    sources = [bare_corpus([20], weight=1.0), bare_corpus([5], weight=9.0)]
    config = DataConfig(sources=sources, max_frames=4000, language_temperature=5.0)
    made = validation_plan(CorpusIndex.open(*sources), config, 0, ("audio",))
    assert sorted(row for item in made.single_pass() for row in rows_of(item)) == list(range(25))
