"""Audio that waits in a file, and gives its place back."""

from __future__ import annotations

import zlib

import pytest

from gsv2.data.building import stored_audio
from gsv2.data.building.stored_audio import THERE, StoredAudio, punch_hole

BLOCK = 1 << 16


def test_what_is_freed_is_no_more_on_the_disk_and_what_lies_beside_it_is(tmp_path):
    sounds = [bytes([number]) * BLOCK for number in (1, 2, 3)]
    with (tmp_path / "file").open("w+b") as file:
        stored = []
        for sound in sounds:
            file.write(THERE)
            stored.append(StoredAudio(file, 0, file.tell(), BLOCK, zlib.crc32(sound)))
            file.write(sound)
        file.flush()
        before = (tmp_path / "file").stat()
        assert [audio.read() for audio in stored] == sounds
        stored[1].free()
        after = (tmp_path / "file").stat()
        assert after.st_size == before.st_size
        assert [audio.is_there for audio in stored] == [True, False, True]
        assert [stored[0].read(), stored[2].read()] == [sounds[0], sounds[2]]
        if not punch_hole(file, 0, 1):
            pytest.skip("this file system has no holes")
        assert before.st_blocks - after.st_blocks >= (BLOCK - 2 * 4096) // 512


def test_a_file_system_without_holes_keeps_what_is_freed(tmp_path, monkeypatch):
    monkeypatch.setattr(stored_audio.ctypes, "CDLL", lambda *_, **__: object())
    with (tmp_path / "file").open("w+b") as file:
        file.write(THERE + b"sound")
        audio = StoredAudio(file, 0, 1, 5, 0)
        assert not punch_hole(file, 1, 5)
        audio.free()
        assert audio.read() == b"sound"
        assert not audio.is_there
