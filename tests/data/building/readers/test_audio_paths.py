"""Audio is found where a list says it, where it was moved, and under the names of Windows."""

from __future__ import annotations

from gsv2.data.building.readers.audio_paths import AudioPaths
from tests.support.said import put


def test_paths_start_at_the_list_or_at_a_folder_above_it(tmp_path):
    beside, above = put(tmp_path / "a/b/x.wav", b""), put(tmp_path / "out/y.wav", b"")
    paths = AudioPaths(tmp_path / "a/b", None)
    assert paths.find("x.wav") == beside
    assert paths.find("out/y.wav") == above
    assert paths.find(str(above)) == above
    assert paths.find("none.wav") == tmp_path / "a/b/none.wav"


def test_a_folder_of_audio_takes_whole_paths_and_last_parts(tmp_path):
    moved, deep = put(tmp_path / "new/x.wav", b""), put(tmp_path / "new/d/z.wav", b"")
    paths = AudioPaths(tmp_path / "lists", tmp_path / "new")
    assert paths.find("/home/other/x.wav") == moved
    assert paths.find(r"D:\GPT-SoVITS\output\x.wav") == moved
    assert paths.find("d/z.wav") == deep
    assert paths.find("elsewhere/none.wav") == tmp_path / "new/none.wav"


def test_a_name_without_suffix_gets_a_usual_one(tmp_path):
    found = put(tmp_path / "wavs/LJ001.flac", b"")
    assert AudioPaths(tmp_path, None, ("wavs", "")).find("LJ001") == found
    dotted = put(tmp_path / "v1.2.wav", b"")
    assert AudioPaths(tmp_path, None).find("v1.2") == dotted
