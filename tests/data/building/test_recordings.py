import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from gsv2.audio.wave import save_wave
from gsv2.data.building.encode import Rejected
from gsv2.data.building.keys import safe_key
from gsv2.data.building.readers.jsonl import jsonl_recordings
from gsv2.data.building.recordings import checked_recordings
from gsv2.data.building.shards import write_corpus
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.data.corpus.manifest import CorpusError
from tests.support.offered_clips import folder_recordings, load_recordings
from tests.support.recordings_folder import TONE, write_recordings


@pytest.fixture
def folder(tmp_path):
    return write_recordings(tmp_path)


@pytest.mark.parametrize("workers", [0, 2])
def test_recordings_become_clips_in_order_and_failures_have_a_reason(folder, workers):
    clips = list(load_recordings(folder_recordings(folder), workers))
    assert [clip.key for clip in clips] == [
        "en/ann/one", "en/ann/two", "zh/bo/damaged", "zh/bo/one"
    ]  # fmt: skip
    assert [isinstance(clip, Rejected) for clip in clips] == [False, True, True, False]
    assert (clips[1].reason, clips[1].value) == (
        "no transcript", "no file two.txt"
    )  # fmt: skip
    assert clips[2].reason == "audio cannot be read"
    assert clips[2].file.endswith("zh/bo/damaged.wav")
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
    [("{", ":1: line is not JSON"), ("[1]", ":1: line must be"),
     ('{"text": "x"}', ":1: field audio"), ('{"audio": 3}', "field audio must be text"),
     ('{"audio": "a.wav", "text": "x"}', ":1: language is missing"),
     ('{"audio": "a.wav", "lang": "anna"}', "BCP 47 tag.*'anna'"),
     ('{"audio": "a.wav", "lang": "en", "text": 7}', "field text must be text, but is 7"),
     ('{"audio": "a.wav", "lang": "en", "offset": "1"}', "offset must be a number"),
     ('{"audio": "a.wav", "lang": "en", "offset": NaN}', "offset must be a number"),
     ('{"audio": "a.wav", "lang": "en", "duration": true}', "duration must be a number"),
     ('{"audio": "a.wav", "lang": "en", "start": 2, "end": 1}', "end must be after"),
     ('{"audio": "a.wav", "lang": "en", "end": 3, "duration": 1}', "end - start"),
     ('{"audio": "a.wav", "lang": "en", "channel": 1}', "field channel is not known"),
     ('{"audio": "a.wav", "audio_filepath": "b.wav", "lang": "en"}', "differ"),
     ('{"audio": "a.wav", "audio": "b.wav", "lang": "en"}', "twice")],
)  # fmt: skip
def test_a_strange_manifest_line_is_named(tmp_path, line, message):
    path = tmp_path / "list.jsonl"
    path.write_text(line)
    with pytest.raises(CorpusError, match=message):
        list(jsonl_recordings(path))


def test_keys_are_safe_for_webdataset():
    assert safe_key("/a b/c.d/ü-1_2") == "a_b/c_d/ü-1_2"
    assert ".." not in safe_key("../../x")


def test_lines_that_are_not_understood_are_found_before_any_audio_is_read(folder):
    path = folder / "list.jsonl"
    good = '{"audio": "en/ann/one.wav", "text": "hi", "lang": "en"}'
    path.write_text(f'{good}\n{{"audio": 1}}\n{good}\n[]\n')
    with pytest.raises(CorpusError, match=r"jsonl:2: .*jsonl:4: "):
        next(checked_recordings(lambda: jsonl_recordings(path)))


def test_an_input_that_changes_while_it_is_read_is_an_error(folder):
    listings = [list(folder_recordings(folder)), list(folder_recordings(folder))[1:]]
    with pytest.raises(
        CorpusError, match="changed while it was read: 4 recordings at first, then 3"
    ):
        list(checked_recordings(lambda: listings.pop(0)))


def test_segments_are_cut_out_under_every_name_of_their_fields(folder):
    save_wave(folder / "long.wav", np.concatenate([TONE * 0.1, TONE * 0.2, TONE * 0.3]), 32_000)
    rows = [
        {"offset": 1.0, "duration": 1},
        {"start": 1.0, "end": 2.0, "audio": None, "audio_filepath": "long.wav", "key": "b"},
        {"duration": 3.04},  # what a manifest that rounds says of the whole
        {"end": 1.0},
        {"offset": 2.5, "duration": 1.0},
        {"duration": 9.0, "key": "too much"},
    ]
    path = folder / "list.jsonl"
    given = [{"audio": "long.wav", "text": "hi", "lang": "EN", "spk": 7} | row for row in rows]
    path.write_text("\n".join(map(json.dumps, given)))
    clips = list(load_recordings(checked_recordings(lambda: jsonl_recordings(path))))
    assert [clip.key for clip in clips[:4]] == [
        "long-00001000-00002000", "b", "long", "long-00000000-00001000"
    ]  # fmt: skip
    assert [len(clip.wave) / SAMPLE_RATE for clip in clips[:4]] == [1, 1, 3, 1]
    assert np.allclose(clips[0].wave, TONE * 0.2, atol=1e-4)
    assert (clips[0].language, clips[0].speaker) == ("en", "7")
    assert [clip.reason for clip in clips[4:]] == ["segment is not inside the audio"] * 2
    assert "which has 3.000 s" in clips[4].value


def test_a_fault_of_the_machine_ends_the_build(folder, monkeypatch):
    def broken(*_, **__):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("pathlib.Path.open", broken)
    recordings = folder_recordings(folder)
    with pytest.raises(OSError, match="Too many open files"):
        list(load_recordings(recordings))


def test_files_whose_names_fold_have_a_key_each(tmp_path):
    root = tmp_path / "en" / "ann"
    root.mkdir(parents=True)
    names = ["a b.wav", "a_b.wav", "a b.flac", "a.b.wav", "c.wav"]
    for name in names:
        save_wave(root / name, TONE, SAMPLE_RATE)
    found = list(checked_recordings(lambda: folder_recordings(tmp_path)))
    assert len({r.key for r in found}) == len(names)
    assert {r.key for r in found if r.audio.name == "c.wav"} == {"en/ann/c"}
    assert all(safe_key(r.key) == r.key for r in found)


def test_a_recording_that_stands_twice_is_rejected_by_both_places(folder):
    path = folder / "list.jsonl"
    line = '{"audio": "en/ann/one.wav", "text": "hi", "lang": "en"}\n'
    path.write_text(line * 2)
    first, second = checked_recordings(lambda: jsonl_recordings(path))
    assert first.key == "en/ann/one"
    assert (second.reason, second.file) == ("same recording or key twice", f"{path}:2")
    assert f"{path}:1" in second.value


def test_every_rejection_has_file_phrase_and_value(tmp_path):
    """What is counted holds no value; what is named does."""
    root = tmp_path / "in" / "en" / "ann"
    root.mkdir(parents=True)
    whole = io.BytesIO()
    soundfile.write(whole, TONE, SAMPLE_RATE, format="WAV")
    files = {
        "cut.wav": whole.getvalue()[:20_000],
        "empty.wav": b"",
        "garbage.wav": b"RIFF",
        "video.m4a": b"\0\0\0\x18ftypM4A ",
    }
    for name, content in files.items():
        (root / name).write_bytes(content)
    silence, nan = np.zeros_like(TONE), TONE * np.nan
    soundfile.write(root / "silent.wav", silence, SAMPLE_RATE)
    soundfile.write(root / "nan.wav", nan, SAMPLE_RATE, subtype="FLOAT")
    for path in list(root.iterdir()):
        path.with_suffix(".txt").write_text("hi")
    save_wave(root / "mute.wav", TONE, SAMPLE_RATE)
    save_wave(root / "good.wav", TONE, SAMPLE_RATE)
    (root / "good.txt").write_text("Good morning.")
    manifest = write_corpus(load_recordings(folder_recordings(tmp_path / "in")), tmp_path / "out")
    lines = (tmp_path / "out" / "rejected.jsonl").read_text().splitlines()
    named = {Path(line["file"]).stem: line for line in map(json.loads, lines)}
    assert set(named) == {"cut", "empty", "garbage", "video", "silent", "nan", "mute"}
    assert all(line["value"] and line["reason"] for line in named.values())
    assert named["cut"]["reason"] == "audio cut"
    assert "header says" in named["cut"]["value"]
    assert named["nan"]["reason"] == "audio holds NaN or infinite samples"
    assert "LUFS" in named["silent"]["value"]
    assert sum(manifest.rejected.values()) == 7
    assert not any(char.isdigit() for reason in manifest.rejected for char in reason)
