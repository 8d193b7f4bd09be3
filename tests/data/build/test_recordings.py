import json

import numpy as np
import pytest
import soundfile

from gsv2.audio.wave import save_wave
from gsv2.data.build.encode import ClipRecord, Rejected
from gsv2.data.build.recordings import (
    folder_recordings,
    jsonl_recordings,
    load_recordings,
    safe_key,
)
from gsv2.data.manifest import CorpusError
from gsv2.data.schema import SAMPLE_RATE

TONE = (0.2 * np.sin(np.arange(SAMPLE_RATE) / 20)).astype("float32")


@pytest.fixture
def folder(tmp_path):
    """LANGUAGE/SPEAKER/NAME with a stereo file, a missing transcript and a damaged file."""
    for name in ("en/ann/one", "en/ann/two", "zh/bo/one", "zh/bo/damaged"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".txt").write_text(f"text of {name}")
        save_wave(path.with_suffix(".wav"), TONE, SAMPLE_RATE)
    stereo = np.random.default_rng(0).uniform(-0.1, 0.1, (44_100, 2))
    soundfile.write(tmp_path / "en/ann/two.wav", stereo, 44_100)
    (tmp_path / "en/ann/two.txt").unlink()
    (tmp_path / "zh/bo/damaged.wav").write_bytes(b"RIFF")
    soundfile.write(tmp_path / "zh/bo/one.wav", stereo, 44_100)
    return tmp_path


def test_a_folder_names_language_and_speaker(folder):
    recordings = {r.key: r for r in folder_recordings(folder)}
    assert set(recordings) == {"en/ann/one", "en/ann/two", "zh/bo/one", "zh/bo/damaged"}
    one = recordings["zh/bo/one"]
    assert (one.language, one.speaker, one.text) == ("zh", "bo", "text of zh/bo/one")
    assert recordings["en/ann/two"].text is None


def test_a_language_for_all_needs_no_folder(folder):
    assert {r.language for r in folder_recordings(folder / "en", language="xx")} == {"xx"}
    with pytest.raises(CorpusError, match="--language"):
        list(folder_recordings(folder / "en"))
    with pytest.raises(CorpusError, match="does not exist"):
        list(folder_recordings(folder / "fr"))


@pytest.mark.parametrize("workers", [0, 2])
def test_recordings_become_clips_in_order_and_failures_have_a_reason(folder, workers):
    clips = list(load_recordings(folder_recordings(folder), workers))
    assert [clip.key for clip in clips] == [
        "en/ann/one", "en/ann/two", "zh/bo/damaged", "zh/bo/one"
    ]  # fmt: skip
    assert [type(clip) for clip in clips] == [ClipRecord, Rejected, Rejected, ClipRecord]
    assert clips[1].reason == "transcript missing"
    assert clips[2].reason == "audio missing or unreadable"
    assert clips[3].wave.shape == (SAMPLE_RATE,)


def test_a_manifest_gives_the_same_by_relative_paths(folder):
    rows = [
        {"audio": "en/ann/one.wav", "text": "hi", "language": "en", "speaker": "ann"},
        {"audio": str(folder / "zh/bo/one.wav"), "text": "你好", "key": "a.b c", "licence": "CC0"},
    ]
    path = folder / "list.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    first, second = load_recordings(jsonl_recordings(path, language="zh"))
    assert (first.key, first.language, first.speaker) == ("en/ann/one", "en", "ann")
    assert (second.key, second.language, second.speaker) == ("a_b_c", "zh", "")
    assert second.licence == "CC0"


@pytest.mark.parametrize(
    ("line", "message"),
    [("{", ":1 must be"), ("[1]", ":1 must be"), ('{"text": "x"}', ":1 must be"),
     ('{"audio": "a.wav", "text": "x"}', ":1: language is missing")],
)  # fmt: skip
def test_a_strange_manifest_line_is_named(tmp_path, line, message):
    path = tmp_path / "list.jsonl"
    path.write_text(line)
    with pytest.raises(CorpusError, match=message):
        list(jsonl_recordings(path))


def test_keys_are_safe_for_webdataset():
    assert safe_key("/a b/c.d/ü-1_2") == "a_b/c_d/ü-1_2"
    assert ".." not in safe_key("../../x")
