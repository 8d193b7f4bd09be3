"""Recordings are added to a corpus: nothing that it has is read or changed, nothing is lost."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from gsv2.audio.fingerprint import SIZE
from gsv2.audio.wave import save_wave
from gsv2.data.building import recordings as reading
from gsv2.data.building.build import build_corpus, encode_share
from gsv2.data.building.build_run import BuildRun
from gsv2.data.building.checks import CheckConfig
from gsv2.data.building.intake import IntakeConfig
from gsv2.data.building.split import SplitConfig
from gsv2.data.building.tasks import Task
from gsv2.data.config import SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import CorpusError, read_manifest
from gsv2.data.verify.corpus import verify_corpus

ADD = BuildRun(add=True)


def put_clip(root: Path, language: str, speaker: str, number: int) -> None:
    path = root / language / speaker / f"{number}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_wave(path, 0.1 * np.random.default_rng(number).standard_normal(8_000), 16_000)
    path.with_suffix(".txt").write_text(f"hello {number}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(4):
        put_clip(tmp_path / "in", "en", f"s{number % 2}", number)
    (tmp_path / "in" / "en" / "s0" / "cover.jpg").write_bytes(b"a picture")
    return tmp_path / "in"


def read_files(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    read: list[str] = []
    load_wave = reading.load_wave
    monkeypatch.setattr(
        reading,
        "load_wave",
        lambda path, *rest, **named: read.append(path.name) or load_wave(path, *rest, **named),
    )
    return read


def keys(corpus: Path) -> list[str]:
    return CorpusIndex.open(SourceConfig(path=str(corpus))).strings("key").to_pylist()


def test_what_is_new_becomes_further_shards_and_the_old_ones_stay(folder, tmp_path, monkeypatch):
    out = tmp_path / "c"
    first = build_corpus(folder, out)
    before = {path.name: path.stat().st_ino for path in out.rglob("*.tar")}
    put_clip(folder, "en", "s2", 4)
    put_clip(folder, "de", "s0", 5)
    (folder / "en" / "s2" / "note.md").write_text("a note")
    read = read_files(monkeypatch)
    added = build_corpus(folder, out, run=ADD)
    assert sorted(read) == ["4.wav", "5.wav"]
    assert [entry.name for entry in added.shards] == [
        "de/clips-000000", "en/clips-000000", "en/clips-000001"
    ]  # fmt: skip
    assert added.shards[1] == first.shards[0]
    after = {path.name: path.stat().st_ino for path in (out / "en").glob("*.tar")}
    assert before.items() <= after.items(), "tars are linked, not copied"
    assert added == read_manifest(out)
    assert len(set(keys(out))) == added.num_clips == 6
    assert added.num_speakers == 3
    assert set(added.languages) == {"de", "en"}
    assert added.build["offered"] == added.num_clips + sum(added.rejected.values()) == 8
    assert len((out / "rejected.jsonl").read_text().splitlines()) == 2
    assert verify_corpus(out).problems == []
    again = build_corpus(folder, out, run=ADD)
    assert again == added, "nothing is new"


def test_a_changed_file_and_a_known_sound_are_named(folder, tmp_path):
    out = tmp_path / "c"
    build_corpus(folder, out)
    put_clip(folder, "en", "s0", 0)
    (folder / "en" / "s0" / "0.txt").write_text("hello again")
    shutil.copy(folder / "en" / "s0" / "2.wav", folder / "en" / "s0" / "9.wav")
    (folder / "en" / "s0" / "9.txt").write_text("hello nine")
    added = build_corpus(folder, out, run=ADD)
    assert added.num_clips == 5
    assert added.rejected["key used twice"] == 1
    assert added.build["suspects"]["sound of another clip"] == 1


def syllables(seed: int, rate: int = 16_000) -> np.ndarray:
    """Return 2 s of noise in syllables of many colours, [N] float32, which a fingerprint tells."""
    rng = np.random.default_rng(seed)
    wave = rng.standard_normal(2 * rate)
    spectrum = np.fft.rfft(wave.reshape(-1, rate // 20), axis=1)
    spectrum *= 10 ** rng.uniform(-2, 0, (spectrum.shape[0], 8)).repeat(51, 1)[:, : rate // 40 + 1]
    wave = np.fft.irfft(spectrum, axis=1).ravel()
    return (0.1 * wave / wave.std()).astype(np.float32)


def test_a_recording_that_is_there_in_another_encoding_is_named_without_reading_it(
    folder, tmp_path, monkeypatch
):
    for number in (20, 21):
        put_clip(folder, "en", "s0", number)
        save_wave(folder / "en" / "s0" / f"{number}.wav", syllables(number), 16_000)
    out = tmp_path / "c"
    build_corpus(folder, out)
    for number, seed in ((30, 20), (31, 31)):
        put_clip(folder, "en", "s1", number)
        soundfile.write(
            folder / "en" / "s1" / f"{number}.wav",
            0.3 * syllables(seed),
            16_000,
            subtype="ULAW",
            format="WAV",
        )
    read = read_files(monkeypatch)
    added = build_corpus(folder, out, run=ADD)
    assert sorted(read) == ["30.wav", "31.wav"]
    suspects = [json.loads(line) for line in (out / "suspects.jsonl").read_text().splitlines()]
    same = [s for s in suspects if s["reason"] == "sound of another clip"]
    assert [(Path(s["file"]).name, s["value"]) for s in same] == [
        ("30.wav", "it is that of en/s0/20, encoded otherwise")
    ]
    assert verify_corpus(out).problems == []
    for shard in added.shards:
        size = (out / f"{shard.name}.fingerprints").stat().st_size
        assert size == SIZE * shard.num_clips


def test_a_corpus_without_fingerprints_is_added_to_and_a_line_says_what_is_not_compared(
    folder, tmp_path, caplog
):
    out = tmp_path / "c"
    build_corpus(folder, out)
    (out / "en" / "clips-000000.fingerprints").unlink()
    put_clip(folder, "en", "s0", 9)
    assert build_corpus(folder, out, run=ADD).num_clips == 5
    assert "has no en/clips-000000.fingerprints" in caplog.text


def test_clips_go_to_the_parts_that_the_corpus_was_split_into(folder, tmp_path):
    split = SplitConfig(validation=0.05)
    intake = IntakeConfig(checks=CheckConfig(), split=split)
    build_corpus(folder, tmp_path / "c", intake=intake)
    for number in range(10, 20):
        put_clip(folder, "en", f"s{number}", number)
    build_corpus(folder, tmp_path / "c", run=ADD)
    build_corpus(folder, tmp_path / "whole", intake=intake)
    for part in split.parts:
        assert sorted(keys(tmp_path / "c" / part)) == sorted(keys(tmp_path / "whole" / part))
        first, second = (read_manifest(tmp_path / name / part) for name in ("c", "whole"))
        assert first.num_speakers == second.num_speakers


def test_tasks_encode_what_is_new_alone(folder, tmp_path, monkeypatch):
    out = tmp_path / "c"
    build_corpus(folder, out)
    for number in (6, 7):
        put_clip(folder, "en", "s0", number)
    read = read_files(monkeypatch)
    assert not encode_share(folder, out, Task(1, 2), run=ADD)
    assert encode_share(folder, out, Task(2, 2), run=ADD)
    assert build_corpus(folder, out, run=ADD).num_clips == 6
    assert sorted(read) == ["6.wav", "7.wav"]


def test_where_it_is_not_known_what_was_read_a_line_says_so(folder, tmp_path):
    with pytest.raises(CorpusError, match="is no corpus that recordings can be added to"):
        build_corpus(folder, tmp_path / "c", run=ADD)
    build_corpus(folder, tmp_path / "c")
    (tmp_path / "c" / "inputs.bin").unlink()
    with pytest.raises(CorpusError, match=r"has no inputs\.bin"):
        build_corpus(folder, tmp_path / "c", run=ADD)
