import json

import pytest

from gsv2.data.corpus.manifest import CorpusError
from gsv2.data.indexing.corpus import ADVICE, compressed_tars, index_corpus
from gsv2.data.indexing.format import ArchiveFormat
from gsv2.data.verify.corpus import verify_corpus
from tests.support.archives import audio_bytes, said, write_tar

ENGLISH = ArchiveFormat(language="en")
NAMES = ["a.tar.gz", "b.tgz", "c.TAR.BZ2", "sub/d.tar.zst", "sub/e.tar.xz"]


def write_packed(root):
    for name in NAMES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"packed")
    for name in ("notes.gz", "a.tarball", ".hidden.tgz"):
        (root / name).write_bytes(b"other")


def test_only_compressed_tars_are_such(tmp_path):
    write_packed(tmp_path)
    found = [path.relative_to(tmp_path).as_posix() for path in compressed_tars(tmp_path)]
    assert sorted(found) == sorted(NAMES)


def test_compressed_tars_beside_others_are_named(tmp_path):
    write_packed(tmp_path)
    write_tar(tmp_path / "k.tar", said("k1"))
    manifest = index_corpus(tmp_path, ENGLISH)
    assert manifest.rejected == {ADVICE.partition(":")[0]: len(NAMES)}
    assert sorted(manifest.build["left_alone"]) == sorted(NAMES)
    lines = [json.loads(line) for line in (tmp_path / "rejected.jsonl").read_text().splitlines()]
    assert {line["file"]: line["reason"] for line in lines} == dict.fromkeys(NAMES, ADVICE)
    assert verify_corpus(tmp_path).problems == []
    (tmp_path / "later.tar.gz").write_bytes(b"new")
    (problem,) = verify_corpus(tmp_path).problems
    assert problem.kind == "compressed tar is not in corpus.json"
    assert problem.examples == ("later.tar.gz",)


def test_what_is_beside_the_tars_is_named_with_what_to_do(tmp_path):
    write_tar(tmp_path / "k.tar", said("k1"))
    write_tar(tmp_path / "empty.tar")
    write_tar(tmp_path / "folder.tar" / "inside.tar", said("k2"))
    write_tar(tmp_path / "loud.TAR", said("k3"))
    (tmp_path / "loose.wav").write_bytes(audio_bytes(0.1, 8000))
    (tmp_path / "README.md").write_text("Of no account.")
    manifest = index_corpus(tmp_path, ENGLISH)
    assert [shard.name for shard in manifest.shards] == ["folder.tar/inside", "k"]
    lines = [json.loads(line) for line in (tmp_path / "rejected.jsonl").read_text().splitlines()]
    assert {line.get("file") or line["shard"]: line["reason"] for line in lines} == {
        "empty": "tar holds no clip",
        "loud.TAR": "name must end with .tar: rename it",
        "loose.wav": "recording outside of a tar: see gsv2 corpus build",
    }
    assert manifest.build["left_alone"] == ["loud.TAR"], "recordings may be as many as clips"
    assert verify_corpus(tmp_path).problems == []


def test_nothing_but_compressed_tars_is_an_error(tmp_path):
    write_packed(tmp_path)
    with pytest.raises(CorpusError, match=r"a\.tar\.gz.*cannot be read by offset: decompress them"):
        index_corpus(tmp_path, ENGLISH)


def test_audio_of_an_unknown_suffix_is_rejected_by_key_with_what_was_found(tmp_path):
    odd = {"txt": b"Hi.", "m4a": b"?"}
    wma = {"json": b'{"text": "Hi."}', "wma": audio_bytes(0.1, 8000)}
    write_tar(tmp_path / "a.tar", said("k1"), {"__key__": "k2", **odd}, {"__key__": "d/k3", **wma})
    manifest = index_corpus(tmp_path, ENGLISH)
    assert manifest.rejected == {"no audio": 2}
    lines = [json.loads(line) for line in (tmp_path / "rejected.jsonl").read_text().splitlines()]
    assert {line["key"]: line["reason"] for line in lines} == {
        "k2": "no audio; its members end with .m4a, .txt",
        "d/k3": "no audio; its members end with .json, .wma",
    }
