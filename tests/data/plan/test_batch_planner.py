import numpy as np
import pytest

from gsv2.data.config import DataConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.plan.plan import Plan

TOKENS = {"max_tokens": 3300, "row_tokens": 1100, "batching": "pack", "max_seconds": 20.0}


@pytest.fixture(scope="module")
def packed(bare_corpus):
    source = bare_corpus([300, 200])
    config = DataConfig(sources=[source], lanes=2, window_mb=0.2, **TOKENS)
    return Plan(CorpusIndex.open(source), config, 0, ("codes",))


def lengths(index):
    return index.numbers("num_code_frames") + index.numbers("text_bytes") + 4


def items(plan):
    return list(plan.single_pass())


def test_packed_micro_batches_have_every_clip_once(packed):
    rows = [row for item in items(packed) for sequence in item.sequences for row in sequence]
    assert sorted(rows) == list(range(500))


def test_no_row_holds_more_than_its_tokens_and_there_are_never_more_rows(packed):
    tokens = lengths(packed.index)
    assert (packed.num_packed_rows, packed.row_tokens) == (3, 1100)
    for item in items(packed):
        assert list(item.packed_rows) == sorted(item.packed_rows)
        assert len(item.packed_rows) == len(item.sequences)
        assert set(item.packed_rows) <= {0, 1, 2}
        for row in set(item.packed_rows):
            inside = [s for s, r in zip(item.sequences, item.packed_rows, strict=True) if r == row]
            assert sum(tokens[list(s)].sum() for s in inside) <= 1100


def test_padding_is_the_share_of_all_rows_that_holds_nothing(packed):
    tokens = lengths(packed.index)
    for item in items(packed):
        real = sum(int(tokens[list(s)].sum()) for s in item.sequences)
        assert item.tokens == real
        assert item.padding == pytest.approx(1 - real / 3300)


def test_packing_fills_rows_where_a_window_has_many(bare_corpus):
    source = bare_corpus([4000])
    values = {**TOKENS, "row_tokens": 4096, "max_tokens": 8192}
    config = DataConfig(sources=[source], lanes=1, **values)
    found = items(Plan(CorpusIndex.open(source), config, 0, ("codes",)))
    assert np.mean([item.padding for item in found]) < 0.01


def test_bucket_boundaries_hold(bare_corpus):
    source = bare_corpus([600])
    config = DataConfig(
        sources=[source], lanes=1, max_frames=4000, max_clips=1, bucket_boundaries=[200, 400]
    )
    plan = Plan(CorpusIndex.open(source), config, 0, ("audio",))
    frames = plan.index.numbers("num_samples") // 640
    for item in items(plan):
        rows = [row for sequence in item.sequences for row in sequence]
        assert len({np.searchsorted([200, 400], frames[row]) for row in rows}) == 1
