import shutil
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from gsv2.data.config import DataConfig, SourceConfig
from gsv2.data.corpus.code_format import CodeFormat
from gsv2.data.corpus.decode import ClipError
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.plan.plan import Plan, validation_plan
from gsv2.data.stream.loader import StreamStart, make_loader, make_validation_loader
from gsv2.data.stream.reader import read_clips

BOTH = ("audio", "codes")
CONFIG = DataConfig(sources=[], lanes=4, max_frames=200, window_mb=0.3)


@pytest.fixture
def copy(tiny_corpus, tmp_path):
    """The index of a copy of the tiny corpus that a test may damage."""
    shutil.copytree(tiny_corpus.path, tmp_path / "c")
    shutil.copytree(tiny_corpus.codes, tmp_path / "codes")
    return CorpusIndex.open(SourceConfig(path=str(tmp_path / "c"), codes=str(tmp_path / "codes")))


@pytest.fixture(scope="module")
def plan(tiny_corpus):
    return Plan(CorpusIndex.open(tiny_corpus.source_with_codes), CONFIG, 0, BOTH)


def take(loader, count):
    return list(islice(iter(loader), count))


def same(a, b):
    return all(
        torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y
        for x, y in ((getattr(a, name), getattr(b, name)) for name in a.__dataclass_fields__)
    )


def flip(tar, offset):
    path = Path(tar)
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


def test_batches_hold_what_the_plan_says(plan, tiny_corpus):
    clips = {clip.row: clip for clip in read_clips(plan.index, BOTH)}
    for planned, batch in zip(plan.iterate(), take(make_loader(plan), 12), strict=False):
        rows = [row for s in planned.sequences for row in s]
        assert batch.micro_batch == planned.micro_batch
        assert batch.keys == tuple(clips[row].key for row in rows)
        assert batch.sequence.tolist() == [n for n, s in enumerate(planned.sequences) for _ in s]
        assert (batch.weight, batch.padding, batch.bad) == (1.0, planned.padding, ())
        assert batch.wave.dtype == torch.float32
        assert batch.codes.dtype == torch.int64
        for place, row in enumerate(rows):
            length, frames = batch.wave_lengths[place], batch.code_lengths[place]
            assert (batch.wave[place, 0, :length].numpy() == clips[row].wave).all()
            assert (batch.wave[place, 0, length:] == 0).all()
            assert (batch.codes[place, :, :frames].numpy() == clips[row].codes).all()
            assert (batch.codes[place, :, frames:] == -1).all()
            assert (batch.texts[place], batch.languages[place], batch.speakers[place]) == (
                clips[row].text,
                clips[row].language,
                clips[row].speaker,
            )


@pytest.mark.parametrize(("world", "workers"), [(1, 2), (2, 0), (2, 2), (4, 1)])
def test_every_layout_reads_the_same_sequence(plan, world, workers):
    alone = take(make_loader(plan), 24)
    for rank in range(world):
        share = take(make_loader(plan, rank=rank, world=world, workers=workers), 24 // world)
        assert all(same(a, b) for a, b in zip(share, alone[rank::world], strict=True))


def test_a_run_continues_at_any_micro_batch_in_another_layout(plan):
    alone = take(make_loader(plan), 24)
    for start, world, workers in ((5, 1, 2), (8, 2, 0), (8, 2, 2), (12, 4, 0)):
        for rank in range(world):
            layout = {"rank": rank, "world": world, "workers": workers}
            loader = make_loader(plan, **layout, start=StreamStart(start))
            expected = [b for b in alone[start:] if b.micro_batch % world == rank][:3]
            assert all(same(a, b) for a, b in zip(take(loader, 3), expected, strict=True))


def spread(clip):
    """Align a clip by spreading its text over its frames; no clip of number 7."""
    if "7" in clip.text:
        raise ClipError("text is not aligned", "codes")
    return np.linspace(0, len(clip.text) - 1, clip.codes.shape[1]).astype(np.uint16)


@pytest.mark.parametrize("members", [("codes", "align"), ("audio", "codes", "align")])
def test_codes_that_nobody_aligned_are_aligned_in_every_layout_and_by_name_if_not(
    tiny_corpus, members
):
    index = CorpusIndex.open(tiny_corpus.source_with_codes).with_codes(CodeFormat(), spread)
    plan = Plan(index, CONFIG, 0, members)
    assert plan.left_out == {}
    alone = take(make_loader(plan), 12)
    for batch in alone:
        for i, (text, frames) in enumerate(zip(batch.texts, batch.code_lengths, strict=True)):
            assert batch.alignments[i, int(frames) - 1] == len(text) - 1
        assert ((batch.alignments < 0) == (batch.codes[:, 0] < 0)).all()
    for start in (0, 5):
        made = take(make_loader(plan, workers=2, start=StreamStart(start)), 6)
        assert all(same(a, b) for a, b in zip(alone[start : start + 6], made, strict=True))
    victim = index.strings("key").to_pylist().index("clip0007")
    wanted = {("clip0007", index.shard_of(victim).codes_tar, "text is not aligned")}
    held_out = list(make_validation_loader(validation_plan(index, CONFIG, 0, members)))
    for batches in (alone, held_out):
        bad = [clip for batch in batches for clip in batch.bad]
        assert {(clip.key, clip.shard, clip.reason) for clip in bad} == wanted
    assert sum(batch.num_clips for batch in held_out) == 11


def test_codes_alone_never_touch_the_tars_with_audio(copy, plan):
    texts = {clip.key: clip.text for clip in read_clips(plan.index, BOTH)}
    for shard in copy.shards:
        Path(shard.tar).unlink()
    config = DataConfig(sources=[], lanes=2, max_tokens=400)
    for batch in take(make_loader(Plan(copy, config, 0, ("codes",))), 8):
        assert batch.num_clips
        assert batch.bad == ()
        assert batch.wave is None
        assert batch.codes.shape[1] == 2
        assert batch.texts == tuple(texts[key] for key in batch.keys)


@pytest.mark.parametrize("member", ["audio", "json", "codes"])
def test_a_flipped_bit_drops_the_clip_and_nothing_else(copy, plan, member):
    victim = 5
    shard = copy.shard_of(victim)
    tar = shard.codes_tar if member == "codes" else shard.tar
    offset, length = (copy.numbers(f"{member}_{part}")[victim] for part in ("offset", "length"))
    flip(tar, int(offset + length // 2))
    whole = take(make_loader(plan), 12)
    damaged = take(make_loader(Plan(copy, CONFIG, 0, BOTH)), 12)
    for before, after in zip(whole, damaged, strict=True):
        assert after.keys == tuple(key for key in before.keys if key != copy.key(victim))
    bad = [clip for batch in damaged for clip in batch.bad]
    assert {(clip.key, clip.shard, clip.reason) for clip in bad} == {
        (copy.key(victim), tar, f"{member} differs from its checksum")
    }


def test_a_dropped_clip_closes_the_gap_in_its_sequence(copy):
    victim = 5
    flip(copy.shard_of(victim).tar, int(copy.numbers("audio_offset")[victim]))
    config = DataConfig(sources=[], lanes=1, max_frames=10_000, max_clips=1)
    (batch,) = make_validation_loader(validation_plan(copy, config, 0, BOTH))
    assert batch.num_clips == 11
    assert batch.sequence.tolist() == list(range(11))
    assert len(batch.wave) == len(batch.codes) == 11


def test_a_truncated_tar_loses_its_tail_only(copy):
    shard = copy.shards[0]
    cut = int(copy.numbers("audio_offset")[shard.stop - 2] + 100)
    Path(shard.tar).write_bytes(Path(shard.tar).read_bytes()[:cut])
    bad = [b for batch in take(make_loader(Plan(copy, CONFIG, 0, BOTH)), 16) for b in batch.bad]
    assert {clip.key for clip in bad} == {copy.key(shard.stop - 2), copy.key(shard.stop - 1)}
    assert {clip.reason for clip in bad} == {"tar ends before the clip"}


def test_a_micro_batch_that_loses_everything_is_empty_with_weight_0(copy):
    for shard in copy.shards:
        Path(shard.tar).write_bytes(b"")
    batch = take(make_loader(Plan(copy, CONFIG, 0, BOTH)), 1)[0]
    assert (batch.num_clips, batch.weight) == (0, 0.0)
    assert batch.sequence.shape == (0,)
    assert batch.wave is batch.codes is batch.wave_lengths is None
    assert {clip.reason for clip in batch.bad} == {"tar cannot be opened"}
    assert batch.to(torch.device("cpu")).num_clips == 0


def test_planning_touches_no_tar(copy, plan):
    for shard in copy.shards:
        Path(shard.tar).unlink()
        Path(shard.codes_tar).unlink()
    made = Plan(copy, CONFIG, 0, BOTH)
    assert list(islice(made.iterate(), 30)) == list(islice(plan.iterate(), 30))


@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_validation_reads_every_clip_once_in_equal_numbers(tiny_corpus, world):
    made = validation_plan(CorpusIndex.open(tiny_corpus.source), CONFIG, 0, ("audio",))
    loaders = [make_validation_loader(made, rank=rank, world=world) for rank in range(world)]
    for _ in range(2):
        shares = [list(loader) for loader in loaders]
        assert len({len(share) for share in shares}) == 1
        batches = sorted((b for share in shares for b in share), key=lambda b: b.micro_batch)
        assert [b.micro_batch for b in batches] == list(range(len(batches)))
        counted = [b for b in batches if b.weight]
        assert len(counted) == len(list(made.single_pass()))
        assert sorted(key for b in counted for key in b.keys) == [f"clip{n:04d}" for n in range(12)]
        assert all(b.num_clips for b in batches), "padding has content, so that shapes are sane"
