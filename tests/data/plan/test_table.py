import numpy as np
import pytest

from gsv2.data.building.encode import ClipRecord
from gsv2.data.building.shards import write_corpus
from gsv2.data.config import DataConfig, SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import CorpusError
from gsv2.data.plan import table as module
from gsv2.data.plan.table import ClipColumns, ClipTable

NOISE = (0.1 * np.random.default_rng(0).standard_normal(16_000)).astype("float32")


def make(index, *members, **values):
    return ClipTable(index, DataConfig(sources=[], **values), members)


def columns(index, *members, **values):
    table = make(index, *members, **values)
    return ClipColumns.join([table.shard(shard.number) for shard in index.shards])


def test_a_voice_is_a_speaker_of_a_source_else_a_recording_else_one_clip(tmp_path):
    labels = [("ann", ""), ("ann", ""), ("bo", ""), ("", "r1"), ("", "r1"), ("", ""), ("", "")]
    clips = [
        ClipRecord(
            key=f"{n}", wave=NOISE, text="a", language="en", speaker=speaker, recording=recording
        )
        for n, (speaker, recording) in enumerate(labels)
    ]
    write_corpus(clips, tmp_path / "c")
    source = SourceConfig(path=str(tmp_path / "c"))
    index = CorpusIndex.open(source, source)
    voices = columns(index, "audio", max_frames=100).voices
    keys = index.strings("key").to_pylist()
    by_key = dict(zip(keys[:7], voices[:7].tolist(), strict=True))
    assert by_key["0"] == by_key["1"]
    assert by_key["3"] == by_key["4"]
    assert len(set(by_key.values())) == 5
    assert len(set(voices.tolist())) == 10, "two sources share no voice"


def test_a_speaker_has_one_voice_in_all_shards_of_a_source(bare_index):
    index = bare_index([50, 50])
    voices = columns(index, "audio", max_frames=4000).voices
    speakers = np.array(index.strings("speaker").to_pylist())
    for name in set(speakers):
        assert len(set(voices[speakers == name])) == 1
    assert len(set(voices)) == len(set(speakers))


def test_tokens_are_text_and_codes_and_overhead_known_or_guessed(tiny_corpus):
    values = {"max_tokens": 1000, "clip_overhead_tokens": 7}
    known = CorpusIndex.open(tiny_corpus.source_with_codes)
    text, frames = known.numbers("text_bytes"), known.numbers("num_code_frames")
    lengths = columns(known, "codes", **values).lengths
    assert (lengths == text + frames + 7).all()
    flat = columns(known, "codes", steps_per_frame=2, **values).lengths
    assert (flat == text + 2 * frames + 7).all()
    guessed = columns(CorpusIndex.open(tiny_corpus.source), "audio", **values).lengths
    assert np.abs(guessed - lengths).max() <= 1


def test_a_window_counts_only_the_bytes_that_are_read(tiny_corpus):
    index = CorpusIndex.open(tiny_corpus.source_with_codes)
    audio = columns(index, "audio", max_frames=500).num_bytes
    codes = columns(index, "codes", max_tokens=500).num_bytes
    assert (audio == index.numbers("audio_length") + index.numbers("json_length")).all()
    assert (codes == index.numbers("codes_length") + index.numbers("json_length")).all()


def test_clips_that_are_left_out_are_counted_by_reason_and_in_no_shard(bare_index):
    index = bare_index([100, 50])
    seconds = index.numbers("duration_sec")
    table = make(index, "audio", max_frames=4000, min_clip_sec=2.0, max_clip_sec=10.0)
    assert table.left_out == {
        "shorter than data.min_clip_sec": int((seconds < 2).sum()),
        "longer than data.max_clip_sec": int((seconds > 10).sum()),
    }
    assert table.num_examined == 150
    rows = np.concatenate([table.shard(number).rows for number in range(2)])
    assert (rows == np.flatnonzero((seconds >= 2) & (seconds <= 10))).all()


def test_a_budget_below_many_clips_is_an_error_that_names_it(bare_index):
    with pytest.raises(CorpusError, match=r"above the budget of 300 frames: .*data.max_frames"):
        make(bare_index([100]), "audio", max_frames=300)
    with pytest.raises(CorpusError, match=r"budget of 90 tokens: .*data.row_tokens"):
        make(bare_index([100]), "codes", max_tokens=900, row_tokens=90, batching="pack")


def test_a_corpus_of_which_nothing_is_left_is_an_error(bare_index):
    with pytest.raises(CorpusError, match=r"no clip is left of 20; left out: {'shorter than"):
        make(bare_index([20]), "audio", max_frames=4000, min_clip_sec=29.0)


def test_a_large_corpus_is_looked_at_here_and_there(bare_index, monkeypatch):
    monkeypatch.setattr(module, "_EXAMINED_CLIPS", 50)
    index = bare_index([10] * 20)
    asked = []
    read = index.read
    monkeypatch.setattr(
        index, "read", lambda shard, names: asked.append(shard.number) or read(shard, names)
    )
    assert make(index, "audio", max_frames=4000).num_examined == 50
    assert asked == [0, 4, 8, 12, 16]


def test_columns_of_few_shards_stay_in_memory(bare_index, monkeypatch):
    monkeypatch.setattr(module, "_KEPT_CLIPS", 30)
    index = bare_index([10] * 20)
    table = make(index, "audio", max_frames=4000)
    expected = [table.shard(number).rows.tolist() for number in range(20)]
    assert len(table._shards) == 3
    assert [table.shard(number).rows.tolist() for number in range(20)] == expected


def test_clips_of_the_list_of_their_source_are_not_read_and_counted(tiny_corpus, tmp_path):
    listed = tmp_path / "doubtful.jsonl"
    listed.write_text('{"key": "clip0001"}\n{"key": "clip0002"}\n{"key": "of another corpus"}\n')
    source = SourceConfig(path=str(tiny_corpus.path), leave_out=str(listed))
    index = CorpusIndex.open(source, tiny_corpus.source)
    table = make(index, "audio", max_frames=4000)
    assert table.left_out == {"named by the list data.sources.leave_out": 2}
    read = [index.key(int(row)) for s in index.shards for row in table.shard(s.number).rows]
    assert len(read) == 22
    assert read.count("clip0001") == read.count("clip0002") == 1
