"""Mirror of a remote folder."""

from __future__ import annotations

import fsspec
import pytest

from gsv2.storage.mirror import RemoteFile, make_mirror

SOUND = bytes(range(256)) * 4000


def is_large(path) -> bool:
    return path.suffix == ".wav"


@pytest.fixture
def remote(request):
    """Files of `memory://NAME`, gone afterwards."""
    files, root = fsspec.filesystem("memory"), f"/{request.node.name}"
    files.pipe_file(f"{root}/en/a.wav", SOUND)
    files.pipe_file(f"{root}/en/a.txt", b"hello")
    files.pipe_file(f"{root}/list.csv", b"audio,text")
    yield f"memory:/{root}"
    files.rm(root, recursive=True)


def test_small_files_are_there_whole_and_large_ones_take_no_place(remote, tmp_path):
    mirror = make_mirror(remote, tmp_path / "m", is_large)
    assert mirror.source == mirror.root
    assert (mirror.root / "en/a.txt").read_bytes() == b"hello"
    place = mirror.root / "en/a.wav"
    stat = place.stat()
    assert (stat.st_size, stat.st_blocks) == (len(SOUND), 0)
    assert mirror.file(mirror.root / "en/a.txt") is None
    assert mirror.file(tmp_path / "elsewhere.wav") is None
    file = mirror.file(place)
    assert file == RemoteFile(place, remote, "en/a.wav")
    assert file.location == f"{remote}/en/a.wav"
    assert mirror.public_text(f"{place}: cut") == f"{remote}/en/a.wav: cut"


def test_a_large_file_is_fetched_and_lasts_until_the_next_one_is(remote, tmp_path):
    fsspec.filesystem("memory").pipe_file(f"{remote.removeprefix('memory:/')}/en/b.wav", b"b")
    mirror = make_mirror(remote, tmp_path / "m", is_large)
    first = mirror.file(mirror.root / "en/a.wav").fetch()
    assert first.read_bytes() == SOUND
    assert mirror.file(mirror.root / "en/a.wav").fetch() == first
    second = mirror.file(mirror.root / "en/b.wav").fetch()
    assert second.read_bytes() == b"b"
    assert not first.exists()


def test_a_mirror_that_is_made_again_follows_what_has_changed(remote, tmp_path):
    files, root = fsspec.filesystem("memory"), remote.removeprefix("memory:/")
    mirror = make_mirror(remote, tmp_path / "m", is_large)
    before = {path: path.stat() for path in mirror.root.rglob("*.*")}
    make_mirror(remote, tmp_path / "m", is_large)
    assert {path: path.stat() for path in mirror.root.rglob("*.*")} == before
    files.pipe_file(f"{root}/en/a.txt", b"HELLO")
    files.pipe_file(f"{root}/en/a.wav", SOUND[:100])
    files.rm_file(f"{root}/list.csv")
    make_mirror(remote, tmp_path / "m", is_large)
    assert (mirror.root / "en/a.txt").read_bytes() == b"HELLO"
    assert (mirror.root / "en/a.wav").stat().st_size == 100
    assert not (mirror.root / "list.csv").exists()


def test_a_file_that_is_named_stands_in_the_mirror_of_its_folder(remote, tmp_path):
    mirror = make_mirror(f"{remote}/list.csv", tmp_path / "m", is_large)
    assert mirror.source == mirror.root / "list.csv"
    assert mirror.folder == remote
    assert (mirror.root / "en/a.wav").exists()


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="memory://nowhere holds no file"):
        make_mirror("memory://nowhere", tmp_path / "m", is_large)
