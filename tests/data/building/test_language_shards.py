"""Shards of a language: blocks of one speaker, in shuffled order, cut at a size."""

import numpy as np

from gsv2.data.building.encode import ClipRecord
from gsv2.data.building.shards import write_corpus
from gsv2.data.config import SourceConfig
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import read_manifest

TONE = (0.2 * np.sin(np.arange(SAMPLE_RATE) / 20)).astype(np.float32)


def test_blocks_hold_one_speaker_up_to_block_clips(make_corpus, tmp_path):
    path = make_corpus(tmp_path / "c", 60, num_speakers=3, seconds=(0.2, 0.3), block_clips=4)
    index = CorpusIndex.open(SourceConfig(path=str(path)))
    for shard in index.shards:
        rows = range(shard.start, shard.stop)
        blocks = {}
        for row in rows:
            blocks.setdefault(index.numbers("block")[row], []).append(
                index.strings("speaker")[row].as_py()
            )
        assert all(len(set(speakers)) == 1 and len(speakers) <= 4 for speakers in blocks.values())
        assert list(blocks) == sorted(blocks), "blocks lie together"


def test_blocks_are_shuffled_by_the_seed_and_stay_in_their_language(make_corpus, tmp_path):
    orders = []
    for seed in (0, 1):
        corpus = make_corpus(tmp_path / f"{seed}", 60, seconds=(0.2, 0.3), block_clips=4, seed=seed)
        index = CorpusIndex.open(SourceConfig(path=str(corpus)))
        orders.append(index.strings("key").to_pylist())
        languages = index.strings("language").to_pylist()
        assert languages == sorted(languages)
    assert sorted(orders[0]) == sorted(orders[1])
    assert orders[0] != orders[1]


def test_shards_end_with_the_block_that_fills_them(make_corpus, tmp_path):
    path = make_corpus(tmp_path / "c", 40, num_speakers=1, block_clips=2, shard_mb=0.25)
    shards = read_manifest(path).shards
    assert len(shards) > 3
    assert all(shard.num_bytes >= 0.25 * 2**20 for shard in shards[:-1])
    assert all(shard.num_clips % 2 == 0 for shard in shards)


def test_clips_without_a_speaker_share_a_block_with_their_recording_only(tmp_path):
    names = ["x", "y", "x", "", ""]
    clips = [
        ClipRecord(key=f"k{n}", wave=TONE, text="hello", language="en", speaker="", recording=name)
        for n, name in enumerate(names)
    ]
    write_corpus(clips, tmp_path / "c")
    index = CorpusIndex.open(SourceConfig(path=str(tmp_path / "c")))
    blocks = dict(zip(index.strings("key").to_pylist(), index.numbers("block"), strict=True))
    assert blocks["k0"] == blocks["k2"]
    assert len(set(blocks.values())) == 4
