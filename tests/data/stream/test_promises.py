"""The promises of docs/design.md section 3, on real tars with damage in them.

One reference is read alone in one process; every layout and every resume must equal it batch for
batch, tensors included.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pytest
import torch

from gsv2.data.config import DataConfig, SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.plan.plan import Plan, validation_plan
from gsv2.data.plan.window import LanePosition
from gsv2.data.stream.batch import Batch
from gsv2.data.stream.loader import StreamStart, make_loader, make_validation_loader
from tests.support.tiny_corpus import make_codes, make_corpus

# more workers than this machine has cores is the point
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")

LANES = 12
"""Divided by every ranks x workers below."""
COUNT = 240
"""Micro-batches of the reference: several epochs of every lane."""
LAYOUTS = ((1, 3), (2, 1), (3, 2), (4, 0), (6, 2))
"""Ranks and workers of each."""


@dataclass
class Reference:
    config: DataConfig
    members: tuple[str, ...]
    batches: list[Batch]
    damaged: set[str]
    """Keys of clips that cannot be read."""

    def plan(self) -> Plan:
        """A plan that has never been anywhere."""
        return Plan(CorpusIndex.open(*self.config.sources), self.config, 7, self.members)

    def read(self, rank: int, world: int, workers: int, start: int, count: int) -> list[Batch]:
        """What a rank reads that starts afresh with the positions of a checkpoint at `start`."""
        positions = {batch.lane: batch.position for batch in self.batches[:start]}
        positions = {
            lane: LanePosition.from_plain(position.to_plain())
            for lane, position in positions.items()
        }
        loader = make_loader(
            self.plan(), rank=rank, world=world, workers=workers,
            start=StreamStart(start, positions),
        )  # fmt: skip
        return list(islice(iter(loader), count))


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """Two corpora with codes, of 150 and 160 clips, damaged in every way that leaves an index."""
    root = tmp_path_factory.mktemp("promises")
    sources, damaged = [], set()
    for number, num_clips in enumerate((150, 160)):
        path, codes = root / f"corpus{number}", root / f"codes{number}"
        make_corpus(
            path, num_clips, num_speakers=4, seconds=(0.4, 0.7), seed=number, block_clips=4,
            shard_mb=0.5,
        )  # fmt: skip
        make_codes(path, codes)
        source = SourceConfig(path=str(path), codes=str(codes))
        sources.append(source)
        damaged |= _damage(CorpusIndex.open(source))
    return sources, damaged


def _damage(index: CorpusIndex) -> set[str]:
    """Flip bits, cut a tar, empty one; return the keys that are lost with audio and codes."""
    flipped = {"audio": 3, "json": 8, "codes": 12}
    for member, row in flipped.items():
        tar = index.shard_of(row).tar_of(member)
        offset = int(index.numbers(f"{member}_offset")[row]) + 9
        with open(tar, "r+b") as file:
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ 4]))
    cut = index.shards[-1]
    for tar in (cut.tar, cut.codes_tar):
        end = "audio" if tar == cut.tar else "codes"
        place = int(index.numbers(f"{end}_offset")[cut.stop - 1])
        with open(tar, "r+b") as file:
            file.truncate(place + 5)
    return {index.key(row) for row in (*flipped.values(), cut.stop - 1)}


@pytest.fixture(scope="module", params=["bucket", "pack", "bucket mixed", "pack mixed"])
def reference(request, corpora) -> Reference:
    sources, damaged = corpora
    values: dict[str, Any] = {"lanes": LANES, "window_mb": 0.1, "min_clip_sec": 0.3}
    if "mixed" in request.param:
        weights = (0.4, 0.6)
        sources = [
            SourceConfig(path=source.path, codes=source.codes, weight=weight)
            for source, weight in zip(sources, weights, strict=True)
        ]
        values["language_temperature"] = 1.5
    else:
        sources = sources[:1]
    members: tuple[str, ...] = ("audio", "codes")
    if "pack" in request.param:
        values |= {"batching": "pack", "max_tokens": 150, "row_tokens": 150, "window_mb": 0.005}
        members = ("codes",)
    else:
        values["max_frames"] = 60
    config = DataConfig(sources=list(sources), **values)
    made = Reference(config, members, [], damaged)
    made.batches = list(islice(iter(make_loader(made.plan(), workers=0)), COUNT))
    return made


def same(a: Batch, b: Batch) -> bool:
    return all(
        torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y
        for x, y in ((getattr(a, name), getattr(b, name)) for name in Batch.__dataclass_fields__)
    )


def assert_same(found: list[Batch], expected: list[Batch]) -> None:
    assert [batch.micro_batch for batch in found] == [batch.micro_batch for batch in expected]
    assert all(same(a, b) for a, b in zip(found, expected, strict=True))


def test_every_clip_exactly_once_per_lane_epoch_or_in_quarantine(reference):
    plan = reference.plan()
    taken: dict[tuple[int, int, int], Counter[str]] = {}
    for batch in reference.batches:
        clips = zip(batch.keys, batch.mixture_parts, batch.epochs, strict=True)
        for key, part, epoch in clips:
            taken.setdefault((part, batch.lane, epoch), Counter())[key] += 1
        for bad in batch.bad:
            taken.setdefault((bad.mixture_part, batch.lane, bad.epoch), Counter())[bad.key] += 1
    positions = {batch.lane: batch.position for batch in reference.batches}
    num_complete = 0
    for (part, lane, epoch), keys in taken.items():
        if epoch < positions[lane].parts[part].epoch:  # all of it is in earlier windows
            assert keys == Counter(plan.lane_epoch_keys(part, lane, epoch))
            num_complete += 1
    assert num_complete >= LANES, "several lane epochs were read to their end"
    for part in plan.parts:
        everything = Counter(
            key for lane in range(LANES) for key in plan.lane_epoch_keys(part.number, lane, 3)
        )
        clips = {plan.index.key(r) for shard in part.shards for r in range(shard.start, shard.stop)}
        assert everything == Counter(clips)


def test_damage_is_quarantined_and_nothing_else(reference):
    bad = {(clip.mixture_part, clip.key) for batch in reference.batches for clip in batch.bad}
    good = {
        pair
        for batch in reference.batches
        for pair in zip(batch.mixture_parts, batch.keys, strict=True)
    }
    assert bad
    assert not bad & good
    assert {key for _, key in bad} <= reference.damaged
    reasons = {clip.reason for batch in reference.batches for clip in batch.bad}
    assert reasons <= {
        "audio differs from its checksum", "json differs from its checksum",
        "codes differs from its checksum", "tar ends before the clip",
    }  # fmt: skip


@pytest.mark.parametrize("reference", ["bucket mixed", "pack mixed"], indirect=True)
@pytest.mark.parametrize(("world", "workers"), LAYOUTS)
def test_every_layout_reads_the_same_global_sequence(reference, world, workers):
    count = 4 * LANES // world  # as many on every rank
    shares = [reference.read(rank, world, workers, 0, count) for rank in range(world)]
    assert {len(share) for share in shares} == {count}
    together = sorted((b for share in shares for b in share), key=lambda b: b.micro_batch)
    assert_same(together, reference.batches[: 4 * LANES])


def _points(batches: list[Batch]) -> dict[str, int]:
    """Micro-batches at which a run may be interrupted."""
    later: dict[str, Batch] = {}
    for before, after in zip(batches, batches[LANES:], strict=False):  # next of the same lane
        if after.position == before.position:
            later.setdefault("inside", after)
        if after.epoch > before.epoch:
            later.setdefault("boundary", after)
    return {
        "mid-window": later["inside"].micro_batch,
        "epoch boundary": later["boundary"].micro_batch,
        "after it": later["boundary"].micro_batch + LANES,
        "random": 101,
    }


@pytest.mark.parametrize(
    ("point", "layouts"),
    [
        ("mid-window", [(2, 2), (3, 0)]),
        ("epoch boundary", [(1, 0), (6, 2)]),
        ("after it", [(2, 2), (3, 0)]),
        ("random", [(1, 3), (6, 1)]),
    ],
)
def test_a_resumed_run_equals_an_unbroken_one_at_any_layout(reference, point, layouts):
    """The first rank of one layout and the last of another; all ranks from the start are above."""
    start = _points(reference.batches)[point]
    for (world, workers), is_last in zip(layouts, (False, True), strict=True):
        rank = world - 1 if is_last else 0
        expected = [b for b in reference.batches[start:] if b.micro_batch % world == rank][:8]
        assert len(expected) == 8
        assert_same(reference.read(rank, world, workers, start, len(expected)), expected)


@pytest.mark.parametrize("world", [1, 4, 6])
def test_a_validation_is_equally_long_on_all_ranks_and_counts_every_clip_once(reference, world):
    index = CorpusIndex.open(*reference.config.sources)
    plan = validation_plan(index, reference.config, 0, reference.members)
    shares = [list(make_validation_loader(plan, rank=rank, world=world)) for rank in range(world)]
    assert len({len(share) for share in shares}) == 1
    counted = [b for share in shares for b in share if b.weight]
    keys = Counter(key for b in counted for key in b.keys)
    keys.update(clip.key for share in shares for b in share for clip in b.bad)
    expected = Counter(index.strings("key").to_pylist())
    assert keys == expected
