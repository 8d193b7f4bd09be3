"""Tars with links, members apart and files of macOS, from index to batch; faults of the machine."""

import errno
import io
import resource
import tarfile
from pathlib import Path

import pytest

from gsv2.data.config import SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.indexing.corpus import index_corpus
from gsv2.data.indexing.format import ArchiveFormat
from gsv2.data.indexing.scan import scan_tar
from gsv2.data.indexing.tar_walk import TarWalk
from gsv2.data.stream import reader as reader_module
from gsv2.data.stream.reader import MappedReader, max_open_tars, read_clip
from gsv2.data.stream.sequential import SequentialReader
from gsv2.data.verify.corpus import verify_corpus
from gsv2.storage.storage import Storage
from tests.support.archives import audio_bytes, said, write_tar
from tests.support.folder_server import serve_folder
from tests.support.served_corpora import REMOTE, chain, contents

ENGLISH = ArchiveFormat(language="en")


def add(tar, name, content=b"", link="", kind=tarfile.REGTYPE):
    info = tarfile.TarInfo(name)
    info.size, info.linkname, info.type = len(content), link, kind
    tar.addfile(info, io.BytesIO(content))


def odd_tar(path):
    """Six clips: two apart, two by links in both directions, one beside files of macOS."""
    path.parent.mkdir(parents=True, exist_ok=True)
    waves = [audio_bytes(0.5, 16_000, seed=seed) for seed in range(4)]
    with tarfile.open(path, "w") as tar:
        add(tar, "d/early.txt", link="one.txt", kind=tarfile.SYMTYPE)
        add(tar, "d/apart1.wav", waves[0])
        add(tar, "d/apart2.txt", b"Two.")
        add(tar, "d/one.wav", waves[1])
        add(tar, "d/._one.wav", b"AppleDouble")
        add(tar, "d/one.txt", b"One.")
        add(tar, "d/.DS_Store", b"Bud1")
        add(tar, "d/hard.wav", link="d/one.wav", kind=tarfile.LNKTYPE)
        add(tar, "d/hard.txt", b"Hard.")
        add(tar, "d/late.wav", waves[3])
        add(tar, "d/late.txt", link="early.txt", kind=tarfile.SYMTYPE)
        add(tar, "d/apart2.wav", waves[2])
        add(tar, "d/apart1.txt", b"One.")
        add(tar, "d/early.wav", link="d/late.wav", kind=tarfile.LNKTYPE)
    return path


KEYS = {"d/apart1", "d/apart2", "d/one", "d/hard", "d/late", "d/early"}


def test_links_members_apart_and_files_of_macos_verify(tmp_path):
    odd_tar(tmp_path / "a.tar")
    manifest = index_corpus(tmp_path, ENGLISH)
    assert (manifest.num_clips, manifest.rejected) == (6, {})
    index = CorpusIndex.open(SourceConfig(path=str(tmp_path)))
    assert set(index.strings("key").to_pylist()) == KEYS
    for decode in (False, True):
        assert verify_corpus(tmp_path, decode=decode).problems == []
    manifest = index_corpus(tmp_path, ArchiveFormat(language="en", prefix_keys=True))
    assert verify_corpus(tmp_path, decode=True).problems == []


def test_a_link_is_no_excuse_for_a_place_of_another_clip(tmp_path):
    """Two rows of equal content at one place, without a link between them, are told."""
    odd_tar(tmp_path / "a.tar")
    index_corpus(tmp_path, ENGLISH)
    content = (tmp_path / "a.tar").read_bytes()
    with tarfile.open(tmp_path / "b.tar", "w") as tar, tarfile.open(tmp_path / "a.tar") as old:
        for member in old:
            if member.name == "d/hard.wav":
                member.linkname = "d/apart1.wav"
            tar.addfile(member, old.extractfile(member) if member.isreg() else None)
    (tmp_path / "b.tar").replace(tmp_path / "a.tar")
    assert len((tmp_path / "a.tar").read_bytes()) == len(content)
    kinds = {problem.kind for problem in verify_corpus(tmp_path).problems}
    assert "member has another name" in kinds


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("window_bytes", [1 << 30, 1])
def test_members_apart_come_in_sequence_from_a_server(tmp_path, ranges, window_bytes):
    odd_tar(tmp_path / "a.tar")
    write_tar(tmp_path / "b.tar", said("k1"), said("k2"))
    index_corpus(tmp_path, ENGLISH)
    mapped = MappedReader(CorpusIndex.open(SourceConfig(path=str(tmp_path))), ["audio"])
    with serve_folder(tmp_path) as server:
        server.behaviour.ranges = ranges
        index = CorpusIndex.open(SourceConfig(path=server.url), storage=Storage(REMOTE))
        reader = SequentialReader(index, ["audio"], window_bytes)
        for window in chain([range(5), range(5, 8)]):
            for row in window.rows.tolist()[::-1]:
                assert contents(reader.read(row, window)) == contents(mapped.read(row))
        reader.close()


@pytest.mark.parametrize("tool", ["index", "verify"])
def test_a_disk_that_fails_stops_the_tool_with_the_name_of_the_tar(tmp_path, monkeypatch, tool):
    tar = write_tar(tmp_path / "a.tar", said("k1"))
    index_corpus(tmp_path, ENGLISH)
    read = TarWalk._read

    def fail(self, length):
        if self.num_bytes:
            raise OSError(errno.EIO, "Input/output error")
        return read(self, length)

    runs = {
        "index": lambda: scan_tar(tar, "a", tmp_path / "a.parquet", ENGLISH),
        "verify": lambda: verify_corpus(tmp_path),
    }
    with monkeypatch.context() as patch:
        patch.setattr(TarWalk, "_read", fail)
        with pytest.raises(OSError, match=f"{tar} cannot be read: Input/output error") as error:
            runs[tool]()
    assert error.value.errno == errno.EIO
    assert verify_corpus(tmp_path).problems == []


@pytest.mark.parametrize("code", [errno.EIO, errno.EMFILE, errno.ENFILE, errno.ESTALE])
def test_a_fault_of_the_machine_stops_the_run_and_blames_no_clip(tiny_corpus, monkeypatch, code):
    reader = MappedReader(CorpusIndex.open(tiny_corpus.source), ["audio"])

    def fail(self, *arguments):
        raise OSError(code, "broken", str(self))

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(OSError, match="a fault of the machine") as error:
        read_clip(reader, 0)
    assert "clips-000000.tar" in str(error.value)
    assert ("ulimit -n" in str(error.value)) == (code in (errno.EMFILE, errno.ENFILE))


def test_few_tars_are_open_under_a_low_limit_of_files(tmp_path, monkeypatch):
    for number in range(30):
        write_tar(tmp_path / f"t{number:02d}.tar", said(f"k{number}"))
    index_corpus(tmp_path, ENGLISH)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    monkeypatch.setattr(reader_module.resource, "getrlimit", lambda _: (40, hard))
    reader = MappedReader(CorpusIndex.open(SourceConfig(path=str(tmp_path))), ["audio"])
    for row in range(30):
        reader.read(row)
        assert len(reader._maps) <= 10
    assert [max_open_tars(limit) for limit in (-1, 1, 256, soft)][:3] == [256, 1, 64]
