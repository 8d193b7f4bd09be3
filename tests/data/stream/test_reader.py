import pytest

from gsv2.data.corpus.decode import ClipError
from gsv2.data.corpus.format import SIZE_LIMITS
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.stream import reader as reader_module
from gsv2.data.stream.batch import BadClip
from gsv2.data.stream.reader import MappedReader, read_clip, read_clips


def test_clips_come_in_the_order_of_the_corpus_with_their_lengths(tiny_corpus):
    index = CorpusIndex.open(tiny_corpus.source_with_codes)
    clips = list(read_clips(index, ["audio", "codes"]))
    assert [clip.key for clip in clips] == index.strings("key").to_pylist()
    assert [len(clip.wave) for clip in clips] == index.numbers("num_samples").tolist()
    frames = index.numbers("num_code_frames").tolist()
    assert [clip.codes.shape for clip in clips] == [(2, count) for count in frames]


def test_few_tars_stay_open(tiny_corpus, monkeypatch):
    monkeypatch.setattr(reader_module, "_MAX_OPEN_TARS", 1)
    index = CorpusIndex.open(tiny_corpus.source, tiny_corpus.source)
    reader = MappedReader(index, ["audio"])
    held = [reader.read(row)["audio"] for row in (0, 11, 12, 23, 0)]
    assert bytes(held[0]) == bytes(held[4]), "views outlive their reader's map"
    assert len(reader._maps) == 1


def test_a_member_above_the_size_limit_is_not_read(tiny_corpus, monkeypatch):
    monkeypatch.setitem(SIZE_LIMITS, "audio", 100)
    index = CorpusIndex.open(tiny_corpus.source)
    with pytest.raises(ClipError, match="above the size limit"):
        MappedReader(index, ["audio"]).read(0)


def test_codes_that_are_not_there_are_a_bad_clip(tiny_corpus):
    index = CorpusIndex.open(tiny_corpus.source)
    clip = read_clip(MappedReader(index, ["codes"]), 3)
    assert clip == BadClip(
        key=index.key(3), shard=index.shard_of(3).tar, reason="codes is not in the tar"
    )
