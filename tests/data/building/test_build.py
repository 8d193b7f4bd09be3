"""A folder of all that goes wrong: each file is right in the corpus or named, none stops it."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import soundfile

from gsv2.audio import decoding
from gsv2.data.building.build import build_corpus
from gsv2.data.building.intake import Intake
from gsv2.data.building.readers.reader import ReadingOptions
from gsv2.data.config import SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import CorpusError, Manifest
from tests.support.said import put

RATE = 16_000
RNG = np.random.default_rng(0)


def speech(seconds: float = 0.5, rate: int = RATE, channels: int = 1) -> np.ndarray:
    wave = 0.1 * RNG.standard_normal((round(seconds * rate), channels))
    return wave[:, 0] if channels == 1 else wave


def sound(
    wave: np.ndarray, rate: int = RATE, kind: str = "WAV", subtype: str | None = None
) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, wave, rate, format=kind, subtype=subtype)
    return buffer.getvalue()


GOOD = {
    "8bit.wav": sound(speech(), subtype="PCM_U8"),
    "24bit.wav": sound(speech(), subtype="PCM_24"),
    "float.wav": sound(speech(), subtype="DOUBLE"),
    "ulaw.wav": sound(speech(rate=8_000), 8_000, subtype="ULAW"),
    "rf64.wav": sound(speech(), kind="RF64"),
    "high.flac": sound(speech(rate=96_000), 96_000, "FLAC"),
    "surround.wav": sound(speech(channels=6)),
    "flac_named.mp3": sound(speech(), kind="FLAC"),
    "mp3_named.wav": sound(speech(rate=32_000), 32_000, "MP3"),
    "opus.ogg": sound(speech(rate=48_000), 48_000, "OGG", "OPUS"),
    "clipped.wav": sound(np.clip(np.convolve(speech() * 40, np.ones(9) / 9, "same"), -1, 1)),
    "dup.wav": sound(speech()),
    "dup.flac": sound(speech(), kind="FLAC"),
}
BAD = {
    "cut.wav": (sound(speech())[:9_000], "audio cut"),
    "empty.wav": (b"", "audio file is empty"),
    "text.wav": (b"this is no sound at all", "audio cannot be read"),
    "video.mp4": (
        b"\0\0\0\x18ftypisom" + bytes(200),
        "cannot be decoded here: convert to WAV or FLAC",
    ),
    "nan.wav": (sound(speech() * np.nan, subtype="FLOAT"), "audio holds NaN or infinite samples"),
    "dc.wav": (sound(np.full(RATE, 0.2)), "audio is only a constant of 0.200"),
    "silent.wav": (sound(np.zeros(RATE)), "audio is silent"),
    "short.wav": (sound(speech(0.05)), "audio too short"),
    "cancel.wav": (
        sound(np.stack([x := speech(), -x], 1)),
        "audio has channels that cancel each other",
    ),
}  # fmt: skip
TEXTS = {
    "latin1.wav": (b"caf\xe9", "transcript is not UTF-8"),
    "mute.wav": (b"  \n", "no speech in the text"),
    "marks.wav": (b"?! ...", "no speech in the text"),
    "novel.wav": (b"word " * 99, "text too long for its audio"),
    "none.wav": (None, "no transcript"),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Manifest, Path]:
    root = tmp_path_factory.mktemp("torture")
    folder = root / "in" / "en" / "anna"
    audio = GOOD | {name: content for name, (content, _) in BAD.items()}
    for name, content in audio.items():
        put(folder / name, content).with_suffix(".txt").write_text("Hello you.")
    for name, (text, _) in TEXTS.items():
        path = put(folder / name, sound(speech()))
        if text is not None:
            path.with_suffix(".txt").write_bytes(text)
    put(folder / "alone.txt", "Hello.")
    put(folder / "cover.jpg", b"\xff\xd8\xff")
    (folder / "gone.wav").symlink_to(folder / "nowhere.wav")
    return build_corpus(root / "in", root / "out"), root / "out"


def test_what_can_be_used_is_there_at_its_length(built):
    _, out = built
    index = CorpusIndex.open(SourceConfig(path=str(out)))
    keys = index.strings("key").to_pylist()
    seconds = dict(zip(keys, index.numbers("duration_sec").tolist(), strict=True))
    names = {Path(name).stem for name in GOOD}
    assert {key.split("/")[-1].split("-")[0] for key in keys} == names
    assert len(keys) == len(GOOD), "the two of one name have a key each"
    assert all(length == pytest.approx(0.5, abs=0.06) for length in seconds.values())


def test_what_cannot_is_named_with_its_reason_and_the_counts_add_up(built):
    manifest, out = built
    lines = list(map(json.loads, (out / "rejected.jsonl").read_text().splitlines()))
    reasons = {Path(line["file"]).name: line["reason"] for line in lines}
    wanted = {name: reason for name, (_, reason) in (BAD | TEXTS).items()}
    assert reasons == wanted | {
        "alone.txt": "left alone: no recording of this name",
        "cover.jpg": "left alone: no suffix of an audio file",
        "gone.wav": "no transcript",
    }
    assert all(line["value"] for line in lines)
    assert manifest.build["offered"] == len(GOOD) + len(lines)
    assert manifest.num_clips + sum(manifest.rejected.values()) == manifest.build["offered"]


def test_what_is_clipped_or_noisy_stays_and_is_a_suspect(built):
    _, out = built
    lines = list(map(json.loads, (out / "suspects.jsonl").read_text().splitlines()))
    named = {(Path(line["file"]).name, line["reason"]) for line in lines}
    assert {("clipped.wav", "audio is clipped"), ("8bit.wav", "audio is noisy")} <= named


@contextmanager
def as_somebody_else() -> Iterator[None]:
    """Be a user to whom permissions matter; root may read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_file_that_may_not_be_read_is_named():
    with TemporaryDirectory() as name:  # below no folder of the user alone
        root = Path(name)
        root.chmod(0o777)
        for kind in ("open", "closed"):
            path = put(root / "in" / "en" / "anna" / f"{kind}.wav", sound(speech()))
            path.with_suffix(".txt").write_text("Hello you.")
        path.chmod(0)
        with as_somebody_else():
            manifest = build_corpus(root / "in", root / "out")
        assert manifest.rejected == {"audio file cannot be opened": 1}
        assert manifest.num_clips == 1


def test_a_pipe_is_named_and_nobody_waits_for_it(tmp_path):
    folder = tmp_path / "in" / "en" / "anna"
    for name in ("good", "mute", "pipe"):
        put(folder / f"{name}.wav", sound(speech())).with_suffix(".txt").write_text("Hello you.")
    for name in ("mute.txt", "pipe.wav"):
        (folder / name).unlink()
        os.mkfifo(folder / name)
    manifest = build_corpus(tmp_path / "in", tmp_path / "out")
    assert manifest.num_clips == 1
    assert manifest.rejected == {
        "audio file cannot be opened": 1, "transcript cannot be opened": 1
    }  # fmt: skip


def test_two_hours_beside_one_sentence_are_named_before_they_are_decoded(tmp_path, monkeypatch):
    hours = np.tile((1000 * speech(10, 8_000)).astype(np.int16), 720)
    long = put(tmp_path / "in" / "en" / "anna" / "long.wav", sound(hours, 8_000, subtype="PCM_U8"))
    long.with_suffix(".txt").write_text("Hello you.")
    short = put(tmp_path / "in" / "en" / "anna" / "short.wav", sound(speech()))
    short.with_suffix(".txt").write_text("Hello you.")
    decoded = []
    blocks = decoding._decode_blocks
    monkeypatch.setattr(
        decoding, "_decode_blocks", lambda file: decoded.append(file.frames) or blocks(file)
    )
    manifest = build_corpus(tmp_path / "in", tmp_path / "out")
    (line,) = map(json.loads, (tmp_path / "out" / "rejected.jsonl").read_text().splitlines())
    assert (line["reason"], line["measured"], line["threshold"]) == ("audio too long", 7200, 600)
    assert decoded == [RATE // 2]
    assert manifest.build["offered"] == 2


def test_a_segment_at_the_end_of_two_hours_is_read_alone(tmp_path, monkeypatch):
    hours = np.tile((1000 * speech(10, 8_000)).astype(np.int16), 720)
    put(tmp_path / "in" / "long.wav", sound(hours, 8_000, subtype="PCM_U8"))
    rows = [
        {"audio": "long.wav", "text": "Hello.", "language": "en", "offset": at, "duration": length}
        for at, length in ((7198.5, 1.5), (0.0, 700.0))
    ]
    put(tmp_path / "in" / "a.jsonl", "\n".join(map(json.dumps, rows)))
    monkeypatch.setattr(decoding, "_decode_blocks", None)
    manifest = build_corpus(tmp_path / "in", tmp_path / "out")
    assert manifest.num_clips == 1
    assert manifest.hours == pytest.approx(1.5 / 3600)
    assert manifest.rejected == {"audio too long": 1}


def test_where_nothing_can_be_used_the_first_reason_is_told(tmp_path):
    put(tmp_path / "in" / "a.list", "x.wav|anna|EN|Hello.\n")
    with pytest.raises(CorpusError, match=r"a.list:1: audio file does not exist: .*x.wav"):
        build_corpus(tmp_path / "in", tmp_path / "out", reading=ReadingOptions())
    assert not (tmp_path / "out").exists()


def test_clips_that_get_lost_fail_the_build(tmp_path, monkeypatch):
    put(tmp_path / "in" / "en" / "anna" / "a.wav", sound(speech())).with_suffix(".txt").write_text(
        "Hi."
    )
    put(tmp_path / "in" / "en" / "anna" / "b.wav", sound(speech())).with_suffix(".txt").write_text(
        "Hi."
    )
    accepted = Intake.accepted
    monkeypatch.setattr(Intake, "accepted", lambda *rest: list(accepted(*rest))[1:])
    with pytest.raises(CorpusError, match="2 clips were offered, but 1 are in the shards and 0"):
        build_corpus(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()
