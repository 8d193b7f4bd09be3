from pathlib import Path

import numpy as np
import pytest

from gsv2.audio.wave import save_wave
from gsv2.data.building import recordings as reading
from gsv2.data.building.encode import ShardConfig
from gsv2.data.building.journal import Encoding, Journal, encoded_recordings, recording_mark
from gsv2.data.building.offered import Recording
from gsv2.data.building.shards import write_corpus
from gsv2.data.corpus.manifest import read_manifest
from gsv2.data.process_pool import ProcessPool
from gsv2.storage.mirror import RemoteFile
from tests.support.offered_clips import folder_recordings


@pytest.fixture
def folder(tmp_path):
    for number in range(5):
        path = tmp_path / "in" / "en" / "anna" / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_wave(path, 0.1 * np.random.default_rng(number).standard_normal(20_000), 16_000)
        if number != 1:
            path.with_suffix(".txt").write_text("hello there")
    return tmp_path / "in"


def build(folder, out, journal, workers=0):
    encoding = Encoding(config=ShardConfig())
    with Journal(journal) as kept:
        clips = encoded_recordings(folder_recordings(folder), kept, encoding, ProcessPool(workers))
        write_corpus(clips, out)
    return {
        p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()
    }  # fmt: skip


def test_other_processes_make_the_same_bytes(folder, tmp_path):
    alone = build(folder, tmp_path / "a", tmp_path / "a.journal")
    assert build(folder, tmp_path / "b", tmp_path / "b.journal", workers=2) == alone


def test_an_ended_build_goes_on_and_gives_the_same_bytes(folder, tmp_path, monkeypatch):
    whole = build(folder, tmp_path / "a", tmp_path / "a.journal")
    read = []
    load_wave = reading.load_wave

    def load(path, *rest, **named):
        read.append(path.name)
        if len(read) == 3:
            raise OSError(5, "Input/output error")
        return load_wave(path, *rest, **named)

    monkeypatch.setattr(reading, "load_wave", load)
    with pytest.raises(OSError, match="Input/output"):
        build(folder, tmp_path / "b", tmp_path / "b.journal")
    with (tmp_path / "b.journal").open("ab") as journal:
        journal.write(b"half of a record")
    (folder / "en" / "anna" / "0.txt").touch()
    (folder / "en" / "anna" / "2.txt").write_text("hello THERE")  # changed: is read again
    (folder / "en" / "anna" / "2.txt").write_text("hello there")
    assert build(folder, tmp_path / "b", tmp_path / "b.journal") == whole
    assert read[3:] == ["0.wav", "2.wav", "3.wav", "4.wav"]
    again = build(folder, tmp_path / "c", tmp_path / "b.journal")
    assert again == whole
    assert len(read) == 7 + 4, "audio that a corpus has taken is read again"
    assert read_manifest(tmp_path / "c").rejected == {"no transcript": 1}


def test_clips_that_others_have_encoded_are_not_read_again(folder, tmp_path, monkeypatch):
    whole = build(folder, tmp_path / "a", tmp_path / "a.journal")
    encoding = Encoding(config=ShardConfig())
    for number in range(2):
        with Journal(tmp_path / f"b.journal-{number}") as journal:
            share = list(folder_recordings(folder))[number::3]
            list(encoded_recordings(share, journal, encoding, ProcessPool()))
    read = []
    load_wave = reading.load_wave
    monkeypatch.setattr(
        reading,
        "load_wave",
        lambda path, *rest, **named: read.append(path.name) or load_wave(path, *rest, **named),
    )
    others = [tmp_path / "b.journal-0", tmp_path / "b.journal-1"]
    with Journal(tmp_path / "b.journal", others) as journal:
        write_corpus(
            encoded_recordings(folder_recordings(folder), journal, encoding, ProcessPool()),
            tmp_path / "b",
        )
    assert read == ["2.wav"]
    assert {
        p.relative_to(tmp_path / "b"): p.read_bytes() for p in (tmp_path / "b").rglob("*.*")
    } == whole


@pytest.mark.parametrize(
    ("audio", "mark"),
    [
        (Path("/a/b.wav"), "6c37bb9aaf291be8c3aff42f"),
        (RemoteFile(Path("/m/b.wav"), "s3://a", "b.wav"), "07f7f1de13ba9b263af7ded7"),
    ],
)
def test_marks_are_those_of_earlier_builds(audio, mark):
    """Else `--add` would take all that a corpus has for new; these are what 2ffe7d5 made."""
    recording = Recording(key="k", name="n", place="p", audio=audio, text="t", language="en")
    assert recording_mark(recording).hex() == mark
