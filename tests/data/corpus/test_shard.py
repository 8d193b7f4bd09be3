import pytest

from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import CorpusError
from gsv2.data.corpus.shard import read_shard
from gsv2.storage.storage import Storage


@pytest.fixture
def shard(tiny_corpus):
    return CorpusIndex.open(tiny_corpus.source_with_codes).shards[0]


def test_codes_lie_in_the_sidecar_and_everything_else_does_not(shard):
    assert shard.tar_of("codes") == shard.tar_of("codes_json") == shard.codes_tar
    assert shard.tar_of("audio") == shard.tar_of("json") == shard.tar
    assert shard.codes_tar != shard.tar


def test_columns_of_both_files_stand_side_by_side_in_the_order_asked_for(shard):
    names = ["num_code_frames", "duration_sec", "key", "codes_offset"]
    columns = read_shard(Storage(), shard, names)
    assert list(columns) == names
    assert {len(column) for column in columns.values()} == {shard.num_clips}
    assert columns["codes_offset"].null_count == 0


def test_the_text_is_null_where_an_index_has_no_such_column(shard):
    assert read_shard(Storage(), shard, ["text"])["text"].null_count == shard.num_clips


def test_a_column_that_is_not_there_is_named_with_its_file(shard):
    with pytest.raises(CorpusError, match=r"parquet lacks the columns colour"):
        read_shard(Storage(), shard, ["colour"])
