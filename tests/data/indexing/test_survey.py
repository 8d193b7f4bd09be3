import json

import numpy as np
import pytest

from gsv2.data.config import SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import CorpusError, is_complete
from gsv2.data.indexing import key_set, survey
from gsv2.data.indexing.corpus import index_corpus
from gsv2.data.indexing.format import ArchiveFormat
from tests.support.archives import said, write_tar

ENGLISH = ArchiveFormat(language="en")


def open_index(root):
    return CorpusIndex.open(SourceConfig(path=str(root)))


def rejected(root):
    lines = (root / "rejected.jsonl").read_text().splitlines()
    return [tuple(json.loads(line).values()) for line in lines]


def test_a_key_in_two_tars_is_an_error_that_names_both(tmp_path):
    write_tar(tmp_path / "en/a.tar", said("000"), said("001"))
    write_tar(tmp_path / "zh/a.tar", said("002"), said("001"))
    with pytest.raises(CorpusError, match=r"key 001 is in en/a\.tar and in zh/a\.tar"):
        index_corpus(tmp_path, ENGLISH)
    assert not is_complete(tmp_path)
    prefixed = ArchiveFormat(language="en", prefix_keys=True)
    index_corpus(tmp_path, prefixed)
    keys = open_index(tmp_path).strings("key").to_pylist()
    assert keys == ["en/a/000", "en/a/001", "zh/a/002", "zh/a/001"]


def test_two_keys_with_one_hash_are_two_keys(tmp_path, monkeypatch):
    constant = lambda keys: np.zeros(len(keys), dtype=np.uint64)  # noqa: E731
    monkeypatch.setattr(survey, "hash_keys", constant)
    assert len(key_set.hash_keys(["a"])) == 1
    write_tar(tmp_path / "a.tar", said("k1"))
    write_tar(tmp_path / "b.tar", said("k2"))
    assert index_corpus(tmp_path, ENGLISH).num_clips == 2


def test_damaged_tars_are_an_error_unless_allowed(tmp_path):
    write_tar(tmp_path / "a.tar", said("k1"), said("k2"))
    write_tar(tmp_path / "b.tar", said("k3"))
    (tmp_path / "c.tar").touch()
    content = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(content[:30_000])
    with pytest.raises(CorpusError) as error:
        index_corpus(tmp_path, ENGLISH)
    assert f"{tmp_path / 'a.tar'} ends inside a member at byte 30000" in str(error.value)
    assert "2 tars are damaged" in str(error.value)
    manifest = index_corpus(tmp_path, ENGLISH, allow_damaged=True)
    assert [entry.num_clips for entry in manifest.shards] == [1, 1]
    assert manifest.rejected == {
        "cut off by the damage of its tar": 1,
        "tar is damaged": 2,
    }
    assert manifest.build["left_out"] == ["c"]
    assert rejected(tmp_path)[2] == ("c", "", "tar is empty at byte 0")
    assert open_index(tmp_path).num_clips == 2
