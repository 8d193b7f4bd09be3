"""Steps of the waveform stage's networks on two ranks, under DDP and ZeRO-2, as on one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from gsv2.training.distributed.ranks import Distributed
from tests.support.forked_runs import ForkedRuns, finish
from tests.support.ranks.waveform import (
    ENGINES,
    LAST_STEP,
    NETWORKS,
    STOPS,
    fit_live,
    train,
    weights_of,
)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, forked_runs: ForkedRuns) -> Path:
    """What two ranks have trained."""
    out = tmp_path_factory.mktemp("waveform")
    finish(forked_runs.start_ranks(out, "waveform", out))
    return out


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Tensor]:
    """What one process trains beyond the freeze of its quantizer."""
    return fit_live(tmp_path_factory.mktemp("whole"), Distributed(), LAST_STEP)


@pytest.mark.parametrize("network", NETWORKS)
def test_two_ranks_take_the_steps_of_one_under_any_engine(
    tmp_path: Path, two: Path, network: str
) -> None:
    """Noise, segments, alignments and references are those of the micro-batch, not of the rank."""
    expected = weights_of(train(network, ENGINES["ddp"], Distributed(), tmp_path))
    for name in ENGINES:
        _assert_close(load_file(two / f"{network}.{name}"), expected, 1e-5)


def test_two_ranks_freeze_a_quantizer_and_begin_its_gpt_as_one_does(
    two: Path, whole: Mapping[str, Tensor]
) -> None:
    _assert_close(load_file(two / "whole.live"), whole, 1e-5)


def test_a_run_on_two_ranks_goes_on_behind_the_freeze_to_the_bit(two: Path) -> None:
    _assert_close(load_file(two / f"{STOPS[1]}.live"), load_file(two / "whole.live"), 0.0)


def test_a_run_that_two_ranks_began_is_frozen_by_one(
    two: Path, whole: Mapping[str, Tensor]
) -> None:
    """They stopped before the freeze."""
    _assert_close(fit_live(two / f"stopped-{STOPS[0]}", Distributed(), LAST_STEP), whole, 1e-5)


def _assert_close(
    states: Mapping[str, Tensor], expected: Mapping[str, Tensor], tolerance: float
) -> None:
    assert states.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(
            states[name], value, rtol=0, atol=tolerance, msg=lambda text, n=name: f"{n}: {text}"
        )
