"""What `check_shard` finds beyond checksums, and in shards that others made."""

import io

import numpy as np
import soundfile

from gsv2.data.corpus.index_columns import CLIP_SCHEMA, CODES_SCHEMA
from gsv2.data.corpus.shard_writer import ShardWriter
from gsv2.data.indexing.corpus import index_corpus
from gsv2.data.indexing.format import ArchiveFormat
from gsv2.data.verify.shard_check import ShardJob, check_shard
from tests.support.archives import audio_bytes, codes_bytes, json_bytes, said, write_tar


def found(job):
    """Return kind -> (count, examples) of what is wrong."""
    return {p.kind: (p.count, p.examples) for p in check_shard(job).problems}


def write_shard(root, clips, schema=CLIP_SCHEMA, text_bytes=(), **columns):
    with ShardWriter(root, "xx/a", schema) as shard:
        for number, (key, members) in enumerate(clips.items()):
            own = {"text_bytes": text_bytes[number]} if text_bytes else {}
            shard.add(key, members, **own, **columns)
        entry = shard.finish(seconds=0.5 * len(clips))
    return entry


def test_decoding_finds_what_checksums_cannot(tmp_path):
    """NaN, texts without speech, and an index that tells of other audio; any rate is fine."""
    wave = np.zeros(8000, dtype=np.float32)
    wave[100] = np.nan
    buffer = io.BytesIO()
    soundfile.write(buffer, wave, 16_000, format="WAV", subtype="FLOAT")
    good = {"text": "Hi.", "language": "en", "speaker": ""}
    clips = {
        "good": (audio_bytes(0.5, 22_050), good),
        "nan": (buffer.getvalue(), good),
        "mute": (audio_bytes(0.5, 16_000), {**good, "text": "?"}),
        "long": (audio_bytes(0.6, 16_000), good),
    }
    members = {key: {"audio": a, "json": json_bytes(**j)} for key, (a, j) in clips.items()}
    told = {"speaker": "", "language": "en", "text_bytes": (3, 3, 1, 3)}
    entry = write_shard(tmp_path, members, block=0, duration_sec=0.5, num_samples=16_000, **told)
    job = ShardJob(tmp_path, entry, "audio", False, None)
    assert found(job) == {"clip cannot be decoded: text has nothing to speak": (1, ("mute",))}
    problems = found(job._replace(decode=True))
    assert problems.pop("audio is not as long as the index says") == (1, ("long",))
    assert problems.pop("clip cannot be decoded: text has nothing to speak") == (1, ("mute",))
    ((kind, examples),) = problems.items()
    assert "NaN" in kind
    assert examples == (1, ("nan",))


def test_decoding_finds_codes_of_another_shape(tmp_path):
    said_json = json_bytes(text="Hi.", language="en", speaker="")
    clips = {
        "good": np.ones((2, 9), np.uint16),
        "short": np.ones((2, 8), np.uint16),
        "thin": np.ones((1, 9), np.uint16),
        "wide": np.ones((2, 9), np.int64),
    }
    members = {
        key: {"codes": codes_bytes(codes), "codes_json": said_json} for key, codes in clips.items()
    }
    entry = write_shard(tmp_path, members, CODES_SCHEMA, num_code_frames=9)
    problems = found(ShardJob(tmp_path, entry, "codes", True, 2))
    assert problems == {
        "clip cannot be decoded: codes are not as long as the index says": (
            1,
            ("short: codes are not as long as the index says: 8 frames, not 9",),
        ),
        "clip cannot be decoded: codes of another number of codebooks": (
            1,
            ("thin: codes of another number of codebooks: 1, not 2",),
        ),
        "clip cannot be decoded: codes are not uint16 [K, T]": (
            1,
            ("wide: codes are not uint16 [K, T]: found int64 (2, 9)",),
        ),
    }


def test_an_indexed_shard_is_checked_by_the_names_that_it_has(tmp_path):
    """What the scan rejected, and suffixes that nobody reads, are no problem; a new tar is."""
    bad = said("bad", "?")
    split = {"__key__": "k1", "txt": b"Again."}
    write_tar(tmp_path / "a.tar", said("k1", jpg=b"?", mp3=b"?"), bad, said("k2"), split)
    form = ArchiveFormat(language="en", prefix_keys=True, audio_suffixes=("wav", "mp3"))
    entry = index_corpus(tmp_path, form).shards[0]
    job = ShardJob(tmp_path, entry, "audio", True, None)
    assert found(job) == {}
    write_tar(tmp_path / "a.tar", said("k1", jpg=b"!", mp3=b"?"), bad, said("k2"), split)
    problems = found(job)
    assert set(problems) == {"SHA-256 differs from corpus.json"}
    index_corpus(tmp_path, form)
    assert set(found(job)) == {
        "SHA-256 differs from corpus.json",
        "index is of another version of the tar",
    }
