from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file

from gsv2.training.checkpoint import find_component
from gsv2.training.clock import TIMING_KEYS
from gsv2.training.distributed import Distributed
from gsv2.training.records import read_records
from tests.integration.launch import finish, start_two_ranks
from tests.training.toy import ToyStage, fit_toy, torn_batch, toy_config

TOLERANCE = 1e-5


def test_two_ranks_train_the_same_gan_as_one(tmp_path: Path) -> None:
    """Accumulation of 2, a graph kept between phases, dropout, a torn micro-batch, validation."""
    launched = start_two_ranks("tests.training.toy", str(tmp_path / "two"), "6")
    stage, _ = fit_toy(toy_config(tmp_path / "one"), Distributed(), make_batch=torn_batch)
    finish(launched)
    _assert_same_weights(stage, tmp_path / "two" / "run")
    one, two = (read_records(tmp_path / n / "run" / "metrics.jsonl") for n in ("one", "two"))
    assert len(one) == len(two) == 6
    for row, other in zip(one, two, strict=True):
        assert row.keys() == other.keys()
        for key in row.keys() - TIMING_KEYS:
            assert other[key] == pytest.approx(row[key], rel=TOLERANCE, abs=TOLERANCE), key
    bad = [[r["key"] for r in read_records(tmp_path / n / "run" / "quarantine.jsonl")]
           for n in ("one", "two")]  # fmt: skip
    assert bad[0] == bad[1]


def _assert_same_weights(stage: ToyStage, run: Path) -> None:
    for name, trainable in stage.trainables.items():
        saved = load_file(find_component(run, name))
        for key, value in trainable.module.state_dict().items():
            assert (saved[key] - value).abs().max() <= TOLERANCE, f"{name}.{key}"
