import numpy as np

from gsv2.data.encode import ClipRecord
from gsv2.data.index import CorpusIndex
from gsv2.data.schema import DataConfig, SourceConfig
from gsv2.data.shards import write_corpus
from gsv2.data.table import ClipTable

NOISE = (0.1 * np.random.default_rng(0).standard_normal(16_000)).astype("float32")


def make(index, *members, **values):
    return ClipTable(index, DataConfig(sources=[], **values), members)


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
    voices = make(index, "audio", max_frames=100).voices
    keys = index.strings("key").to_pylist()
    by_key = dict(zip(keys[:7], voices[:7].tolist(), strict=True))
    assert by_key["0"] == by_key["1"]
    assert by_key["3"] == by_key["4"]
    assert len(set(by_key.values())) == 5
    assert len(set(voices.tolist())) == 10, "two sources share no voice"


def test_tokens_are_text_and_codes_and_overhead_known_or_guessed(tiny_corpus):
    values = {"max_tokens": 1000, "clip_overhead_tokens": 7}
    known = CorpusIndex.open(tiny_corpus.source_with_codes)
    text = known.numbers("text_bytes")
    assert (
        make(known, "codes", **values).lengths == text + known.numbers("num_code_frames") + 7
    ).all()
    guessed = make(CorpusIndex.open(tiny_corpus.source), "audio", **values)
    assert np.abs(guessed.lengths - make(known, "codes", **values).lengths).max() <= 1


def test_a_window_counts_only_the_bytes_that_are_read(tiny_corpus):
    index = CorpusIndex.open(tiny_corpus.source_with_codes)
    audio = make(index, "audio", max_frames=500).num_bytes
    codes = make(index, "codes", max_tokens=500).num_bytes
    assert (audio == index.numbers("audio_length") + index.numbers("json_length")).all()
    assert (codes == index.numbers("codes_length") + index.numbers("json_length")).all()
