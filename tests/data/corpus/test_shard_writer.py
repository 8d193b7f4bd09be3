import hashlib

import pytest

from gsv2.data.corpus.index_columns import CODES_SCHEMA
from gsv2.data.corpus.shard_writer import ShardWriter


def test_the_entry_describes_the_tar(tmp_path):
    with ShardWriter(tmp_path, "xx/a-000000", CODES_SCHEMA) as shard:
        shard.add("k", {"codes": b"1234"}, num_code_frames=2)
        entry = shard.finish(seconds=1.5, source_sha256="ab")
    content = (tmp_path / "xx/a-000000.tar").read_bytes()
    assert entry.sha256 == hashlib.sha256(content).hexdigest()
    assert (entry.num_bytes, entry.num_clips) == (len(content), 1)
    assert (entry.seconds, entry.source_sha256) == (1.5, "ab")


def test_an_unknown_column_is_an_error(tmp_path):
    with ShardWriter(tmp_path, "a", CODES_SCHEMA) as shard:
        with pytest.raises(ValueError, match="no such index columns: speaker"):
            shard.add("k", {}, speaker="ann")
