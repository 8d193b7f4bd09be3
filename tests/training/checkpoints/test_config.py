from __future__ import annotations

from typing import Any

import pytest

from gsv2.training.checkpoints.config import ACCEPTABLE, CheckpointConfig


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"every_steps": 0}, r"checkpoint\.every_steps must be at least 1, but is 0"),
        ({"keep_last": 0}, r"checkpoint\.keep_last must be at least 1, but is 0"),
        ({"keep_every_steps": -1}, r"checkpoint\.keep_every_steps must be at least 0"),
        ({"keep_every_steps": 1500}, r"must be a multiple of .*every_steps \(1000\), but is 1500"),
        ({"accept": ["model"]}, r"checkpoint\.accept may hold dataset, .*, but has 'model'"),
        ({"target": "/data/runs"}, r"checkpoint\.target must be a URL .*, but is '/data/runs'"),
    ],
)
def test_impossible_values_are_refused_by_name(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CheckpointConfig(**values)


def test_possible_ones_are_not() -> None:
    CheckpointConfig(
        keep_every_steps=3000, accept=list(ACCEPTABLE), target="s3://b", best="validation/x"
    )
