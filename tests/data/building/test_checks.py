"""Suspects stay in the corpus and are named, or are left out where that is said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gsv2.data.building.checks import CheckConfig
from gsv2.data.building.encode import ClipRecord, ShardConfig
from gsv2.data.building.intake import IntakeConfig
from gsv2.data.building.shards import write_corpus
from gsv2.data.config import SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import read_manifest

SYLLABLES = np.maximum(np.sin(np.arange(32_000) * 2e-3), 0)
"""Level of a second of speech: noise with pauses."""


def clip(key: str, seed: int, *, narrow: bool = False) -> ClipRecord:
    wave = 0.1 * SYLLABLES * np.random.default_rng(seed).standard_normal(32_000)
    if narrow:
        spectrum = np.fft.rfft(wave)
        spectrum[4_000:] = 0
        wave = np.fft.irfft(spectrum, len(wave))
    return ClipRecord(key=key, wave=wave.astype(np.float32), text="hello", language="en")


CLIPS = [clip("a", 0), clip("b", 1, narrow=True), clip("c", 0), clip("d", 2), clip("e", 0)]


def lines(path: Path) -> dict[str, dict]:
    if not path.exists():
        return {}
    return {line["key"]: line for line in map(json.loads, path.read_text().splitlines())}


def test_suspects_are_kept_and_named_with_what_was_measured(tmp_path):
    manifest = write_corpus(CLIPS, tmp_path / "c", intake=IntakeConfig(checks=CheckConfig()))
    assert manifest.num_clips == 5
    assert manifest.rejected == {}
    named = lines(tmp_path / "c" / "suspects.jsonl")
    assert set(named) == {"b", "c", "e"}
    assert named["e"]["value"] == "it is that of a"
    assert named["b"]["measured"] == pytest.approx(4_000, rel=0.1)
    assert named["b"]["threshold"] == 5_500
    assert read_manifest(tmp_path / "c").build["suspects"] == {
        "audio has no high frequencies": 1,
        "sound of another clip": 2,
    }


def test_checks_that_reject_leave_their_suspects_out(tmp_path):
    config = CheckConfig(reject=("duplicates",), min_bandwidth_hz=3_000)
    manifest = write_corpus(CLIPS, tmp_path / "c", intake=IntakeConfig(checks=config))
    assert manifest.rejected == {"sound of another clip": 2}
    assert set(lines(tmp_path / "c" / "rejected.jsonl")) == {"c", "e"}
    assert not (tmp_path / "c" / "suspects.jsonl").exists()
    with pytest.raises(ValueError, match="check must be one of bandwidth, noise"):
        CheckConfig(reject=("hum",))
    with pytest.raises(ValueError, match="min_bandwidth_hz must be 0 to 16000"):
        CheckConfig(min_bandwidth_hz=-1)


def test_noise_clipping_and_a_text_said_twice_are_suspects(tmp_path):
    noise = 0.1 * np.random.default_rng(9).standard_normal(32_000)
    loud = CLIPS[3].wave * 3
    waves = {
        "noisy": CLIPS[0].wave + noise,
        "clipped": np.clip(loud, -0.3, 0.3),
        "once": CLIPS[1].wave,
        "again": CLIPS[3].wave,
    }
    texts = {"once": "Hello there.", "again": "hello, there"}
    clips = [
        replace(
            CLIPS[0], key=key, wave=wave.astype(np.float32), text=texts.get(key, key), speaker="eva"
        )
        for key, wave in waves.items()
    ]
    other = replace(clips[-1], key="other", speaker="carl", wave=CLIPS[0].wave)
    config = IntakeConfig(checks=CheckConfig(min_bandwidth_hz=0))
    manifest = write_corpus([*clips, other], tmp_path / "c", intake=config)
    assert manifest.num_clips == 5
    named = lines(tmp_path / "c" / "suspects.jsonl")
    assert set(named) == {"noisy", "clipped", "again"}
    assert named["noisy"]["reason"] == "audio is noisy"
    assert named["noisy"]["measured"] < named["noisy"]["threshold"] == 10
    assert named["clipped"]["reason"] == "audio is clipped"
    assert named["clipped"]["measured"] > named["clipped"]["threshold"] == 0.004
    assert named["again"]["value"] == "it is that of once"
    config = IntakeConfig(checks=CheckConfig(min_bandwidth_hz=0, reject=("noise", "texts")))
    left = write_corpus([*clips, other], tmp_path / "d", intake=config)
    assert left.rejected == {"audio is noisy": 1, "text of another clip of the speaker": 1}
    with pytest.raises(ValueError, match="max_clipped must be above 0"):
        CheckConfig(max_clipped=0)


def test_silence_at_the_ends_is_cut_and_counted_where_that_is_said(tmp_path):
    quiet = np.zeros(32_000, np.float32)
    wave = np.concatenate([quiet, CLIPS[0].wave, quiet])
    padded = ClipRecord(key="a", wave=wave, text="hello", language="en")
    manifest = write_corpus([padded], tmp_path / "c", ShardConfig(keep_silence_sec=0.25))
    index = CorpusIndex.open(SourceConfig(path=str(tmp_path / "c")))
    assert index.numbers("duration_sec")[0] == pytest.approx(1.5, abs=0.03)
    assert manifest.build["trimmed_sec"] == pytest.approx(1.5, abs=0.03)
    with pytest.raises(ValueError, match="keep_silence_sec must be 0 or more"):
        ShardConfig(keep_silence_sec=-1)


def test_a_recording_encoded_otherwise_is_a_duplicate_and_named_with_its_likeness(tmp_path):
    import soundfile

    from gsv2.data.building.build import build_corpus
    from tests.audio.test_fingerprint import RATE, utterance

    folder = tmp_path / "in" / "en" / "ann"
    folder.mkdir(parents=True)
    wave = utterance(0)
    soundfile.write(folder / "a.wav", wave, RATE)
    soundfile.write(folder / "b.mp3", 0.4 * wave, RATE)
    soundfile.write(folder / "c.wav", utterance(1), RATE)
    for number, name in enumerate("abc"):
        (folder / f"{name}.txt").write_text(f"hello there number {number}")
    build_corpus(tmp_path / "in", tmp_path / "c")
    (suspect,) = map(json.loads, (tmp_path / "c" / "suspects.jsonl").read_text().splitlines())
    assert suspect["key"] == "en/ann/b"
    assert suspect["reason"] == "sound of another clip"
    assert suspect["value"] == "it is that of en/ann/a, encoded otherwise"
    assert 0.95 <= suspect["measured"] < 1
