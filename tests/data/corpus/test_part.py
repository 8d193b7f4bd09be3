from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gsv2.data.config import DataConfig, SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.part import held_out, in_part, share_of
from gsv2.data.plan.plan import Plan, validation_plan

KEYS = pa.array([f"clip-{i}" for i in range(20_000)])


def test_about_the_share_is_held_out_and_a_larger_one_holds_out_the_same_and_more() -> None:
    small, large = held_out(KEYS, 0.02), held_out(KEYS, 0.1)
    assert small.mean() == pytest.approx(0.02, abs=0.004)
    assert large.mean() == pytest.approx(0.1, abs=0.01)
    assert large[small].all()


def test_the_parts_share_no_clip_and_miss_none() -> None:
    train, other = (in_part(KEYS, part, 0.05) for part in ("train", "heldout"))
    assert (train ^ other).all()
    assert in_part(KEYS, "all", 0.0).all()


def test_the_choice_depends_on_the_key_alone() -> None:
    order = np.random.default_rng(0).permutation(len(KEYS))
    assert (held_out(KEYS.take(pa.array(order)), 0.05) == held_out(KEYS, 0.05)[order]).all()


@pytest.mark.parametrize("count", [1, 7, 19_999])
def test_a_share_holds_out_exactly_as_many_clips_as_are_wanted(count: int) -> None:
    pieces = [KEYS[:7000], KEYS[7000:]]
    assert held_out(KEYS, share_of(pieces, count)).sum() == count


def test_plans_of_the_two_parts_divide_a_corpus(tiny_corpus: Any) -> None:
    whole = SourceConfig(path=str(tiny_corpus.path))
    config = DataConfig(sources=[whole], lanes=1, max_frames=2000)
    keys = {}
    for part in ("train", "heldout"):
        source = replace(whole, part=part, held_out_share=0.3)
        index = CorpusIndex.open(source)
        plan = validation_plan(index, replace(config, sources=[source]), 0, ("audio",))
        batches = plan.single_pass()
        keys[part] = {index.key(r) for batch in batches for rows in batch.sequences for r in rows}
    assert not keys["train"] & keys["heldout"]
    index = CorpusIndex.open(whole)
    assert keys["train"] | keys["heldout"] == {index.key(row) for row in range(index.num_clips)}
    assert Plan(CorpusIndex.open(source), config, 0, ("audio",)).num_clips == len(keys["heldout"])


@pytest.mark.parametrize(
    ("part", "share", "rule"),
    [("all", 0.1, "0 for part: all"), ("train", 0.0, "above 0"), ("heldout", 1.0, "below 1")],
)
def test_a_share_that_makes_no_sense_is_refused(part: Any, share: float, rule: str) -> None:
    with pytest.raises(ValueError, match=f"held_out_share of source a must be .*{rule}"):
        SourceConfig(path=str(Path("a")), part=part, held_out_share=share)
