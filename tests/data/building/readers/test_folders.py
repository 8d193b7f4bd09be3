"""Folders in order, and the files that no list names."""

from __future__ import annotations

from pathlib import Path

from gsv2.data.building.readers.folders import NamedFiles, walk_folders
from gsv2.data.building.readers.labels import Labels
from tests.support.said import put


def test_folders_come_in_order_with_their_files_and_links_to_folders(tmp_path):
    for name in ("b/2.wav", "b/1.wav", "a/x.txt", "z", "a/.trash/3.wav"):
        put(tmp_path / name, b"")
    (tmp_path / "a" / "back").symlink_to(tmp_path)
    found = [(path.name, names) for path, names in walk_folders(tmp_path)]
    assert found[0][1] == ["z"]
    assert found[1:] == [("a", [".trash", "back", "x.txt"]), ("b", ["1.wav", "2.wav"])]


def test_files_that_were_not_named_are_left_alone_with_a_reason(tmp_path, monkeypatch):
    for name in ("d/1.wav", "d/2.wav", "t.csv", ".hidden.wav", "notes.md", ".trash/3.wav"):
        put(tmp_path / name, b"")
    monkeypatch.chdir(tmp_path)
    named = NamedFiles()
    named.add(Path("d/../d/1.wav"))  # as a list may say it
    others = {Path(f.file).name: f.reason for f in named.others(tmp_path, [tmp_path / "t.csv"])}
    assert others == {
        "2.wav": "left alone: no row names it",
        ".hidden.wav": "left alone: hidden file",
        ".trash": "left alone: hidden folder",
        "notes.md": "left alone: no suffix of an audio file",
    }


def test_labels_are_a_dict_whose_last_value_counts():
    pairs = [(f"id{number}", f"label{number % 7}") for number in range(1000)]
    labels = Labels([*pairs, ("id5", "again")])
    expected = dict(pairs) | {"id5": "again"}
    assert {key: labels.get(key) for key in expected} == expected
    assert labels.get("id1000") == ""
    assert Labels([]).get("x") == ""
