import gc
import io
import json
import tarfile
import warnings
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import webdataset

from gsv2.audio.wave import measure_loudness
from gsv2.data.building.encode import ClipRecord, Rejected, ShardConfig
from gsv2.data.building.intake import IntakeConfig
from gsv2.data.building.shards import write_corpus
from gsv2.data.building.split import SplitConfig
from gsv2.data.config import SourceConfig
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import CorpusError, read_manifest

TONE = (0.2 * np.sin(np.arange(SAMPLE_RATE) / 20)).astype(np.float32)


def clip(key, **changes):
    record = ClipRecord(key=key, wave=TONE, text="hello", language="en", speaker="ann")
    return replace(record, **changes)


def read_with_webdataset(tars):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # webdataset leaves its files open
        dataset = webdataset.WebDataset([str(t) for t in tars], shardshuffle=False)
        samples = list(dataset)
        del dataset
        gc.collect()
    return samples


def files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_plain_webdataset_reads_equal_content(tiny_corpus):
    index = CorpusIndex.open(tiny_corpus.source)
    samples = read_with_webdataset(shard.tar for shard in index.shards)
    assert [sample["__key__"] for sample in samples] == index.strings("key").to_pylist()
    for row, sample in enumerate(samples):
        assert {"flac", "json"} == {name for name in sample if not name.startswith("__")}
        fields = json.loads(sample["json"])
        assert set(fields) == {
            "text", "language", "speaker", "duration_sec", "source", "licence"
        }  # fmt: skip
        assert fields["speaker"] == index.strings("speaker")[row].as_py()
        assert len(fields["text"].encode()) == index.numbers("text_bytes")[row]
        assert len(sample["flac"]) == index.numbers("audio_length")[row]


def test_offsets_point_at_the_members_that_tarfile_finds(tiny_corpus):
    index = CorpusIndex.open(tiny_corpus.source)
    for shard in index.shards:
        with tarfile.open(shard.tar) as tar:
            flacs = [m for m in tar if m.name.endswith(".flac")]
        rows = slice(shard.start, shard.stop)
        assert [m.offset_data for m in flacs] == index.numbers("audio_offset")[rows].tolist()
        assert [m.size for m in flacs] == index.numbers("audio_length")[rows].tolist()


def test_long_unicode_keys_keep_their_offsets(tmp_path):
    key = "录音/" + "å" * 120
    write_corpus([clip(key)], tmp_path / "c")
    index = CorpusIndex.open(SourceConfig(path=str(tmp_path / "c")))
    with tarfile.open(index.shards[0].tar) as tar:
        member = tar.getmember(f"{key}.flac")
    assert member.offset_data == index.numbers("audio_offset")[0]


def test_equal_input_gives_equal_bytes(make_corpus, tmp_path):
    assert files(make_corpus(tmp_path / "a")) == files(make_corpus(tmp_path / "b"))


def test_audio_is_levelled_flac_of_16_bits_at_32_khz(tiny_corpus):
    index = CorpusIndex.open(tiny_corpus.source)
    with tarfile.open(index.shards[0].tar) as tar:
        with soundfile.SoundFile(tar.extractfile(tar.next())) as file:
            assert (file.format, file.subtype) == ("FLAC", "PCM_16")
            assert (file.samplerate, file.channels) == (SAMPLE_RATE, 1)
            assert measure_loudness(file.read(dtype="float32"), SAMPLE_RATE) == pytest.approx(
                -23.0, abs=0.1
            )


def test_unusable_clips_are_counted_by_reason_and_named(tmp_path):
    clips = [
        clip("good"),
        clip("good"),
        clip("bad.key"),
        clip("short", wave=TONE[:100]),
        clip("nan", wave=TONE * np.nan),
        clip("stereo", wave=np.stack([TONE, TONE])),
        clip("silent", text=" ... "),
        clip("tongue", language="../en"),
        Rejected(key="lost", reason="audio missing or unreadable"),
    ]
    manifest = write_corpus(clips, tmp_path / "c")
    assert manifest.num_clips == 1
    assert sum(manifest.rejected.values()) == 8
    assert manifest.rejected["audio is not one finite channel"] == 2
    assert manifest.rejected["key used twice"] == 1
    lines = (tmp_path / "c" / "rejected.jsonl").read_text().splitlines()
    assert {json.loads(line)["key"] for line in lines} >= {"lost", "nan", "tongue"}


def test_nothing_usable_leaves_nothing_behind(tmp_path):
    with pytest.raises(CorpusError, match="no usable clip"):
        write_corpus([clip("a", text="!")], tmp_path / "c")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_build_leaves_the_old_corpus(tmp_path):
    write_corpus([clip("a")], tmp_path / "c")
    before = files(tmp_path / "c")

    def broken():
        yield clip("b")
        raise OSError("disk on fire")

    with pytest.raises(OSError, match="fire"):
        write_corpus(broken(), tmp_path / "c", overwrite=True)
    with pytest.raises(CorpusError, match="exists already"):
        write_corpus([clip("b")], tmp_path / "c")
    assert files(tmp_path / "c") == before
    write_corpus([clip("b")], tmp_path / "c", overwrite=True)
    assert CorpusIndex.open(SourceConfig(path=str(tmp_path / "c"))).key(0) == "b"
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_other_peoples_folders_are_never_replaced(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(CorpusError, match="not a corpus"):
        write_corpus([clip("a")], tmp_path, overwrite=True)
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_codes_lie_in_tars_of_the_same_name(tiny_corpus):
    audio, codes = read_manifest(tiny_corpus.path), read_manifest(tiny_corpus.codes)
    assert [shard.name for shard in codes.shards] == [shard.name for shard in audio.shards]
    assert (codes.kind, codes.quantizer, codes.num_codebooks) == ("codes", "0" * 64, 2)
    for sample in read_with_webdataset([tiny_corpus.codes / f"{codes.shards[0].name}.tar"]):
        array = np.load(io.BytesIO(sample["codes.npy"]))
        assert array.dtype == np.uint16
        assert array.shape[0] == 2


def test_no_path_of_this_machine_is_written(tiny_corpus):
    description = (tiny_corpus.codes / "corpus.json").read_text()
    assert str(tiny_corpus.path) not in description
    corpus = read_manifest(tiny_corpus.codes).build["corpus"]
    assert (tiny_corpus.codes / corpus).resolve() == tiny_corpus.path.resolve()


def test_a_shard_name_cannot_leave_the_corpus():
    with pytest.raises(ValueError, match="letters, digits"):
        ShardConfig(name="../evil")


def test_parts_that_are_held_out_are_corpora_of_their_own(tmp_path):
    clips = [
        clip(f"c{number}", text=f"text {number}", speaker=f"s{number % 20}") for number in range(60)
    ]
    clips.append(clip("mute", text="!"))
    split = SplitConfig(validation=0.2, test=0.2)
    taken = IntakeConfig(split=split)
    manifest = write_corpus(clips, tmp_path / "c", intake=taken)
    parts = {part: read_manifest(tmp_path / "c" / part) for part in split.parts}
    assert parts["train"] == manifest
    assert manifest.rejected == {"no speech in the text": 1}
    assert sum(part.num_clips for part in parts.values()) + 1 == manifest.build["offered"] == 61
    assert sum(part.num_speakers for part in parts.values()) == 20
    assert manifest.build["split"]["clips"] == {n: part.num_clips for n, part in parts.items()}
    for name, part in parts.items():
        index = CorpusIndex.open(SourceConfig(path=str(tmp_path / "c" / name)))
        speakers = set(index.strings("speaker").to_pylist())
        assert part.num_speakers == len(speakers)
        assert {split.part_of(clip("a", speaker=speaker)) for speaker in speakers} == {name}
    with pytest.raises(CorpusError, match="exists already"):
        write_corpus(clips, tmp_path / "c", intake=taken)
    write_corpus(clips, tmp_path / "c", intake=taken, overwrite=True)
    assert not (tmp_path / "c" / ".spool").exists()


def test_a_part_that_nobody_falls_into_is_left_out_and_told(tmp_path, caplog):
    split = SplitConfig(validation=0.01)
    write_corpus([clip("a", speaker="anna")], tmp_path / "c", intake=IntakeConfig(split=split))
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["train"]
    assert "no speaker falls into validation" in caplog.text
    full = IntakeConfig(split=SplitConfig(validation=0.99))
    with pytest.raises(CorpusError, match="no clip is left to train on"):
        write_corpus([clip("a", speaker="anna")], tmp_path / "d", intake=full)
