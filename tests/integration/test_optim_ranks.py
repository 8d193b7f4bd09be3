"""Averages, dry runs, probes and loss scales under every engine, on two ranks."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.support.ranks.optim import ENGINES, HALF_ENGINES, HALVES, HUGE_ENGINES


@pytest.fixture(scope="module")
def trained(deepspeed_ranks: Path) -> Path:
    """What two ranks have captured; they check by themselves what each engine must leave alone."""
    return deepspeed_ranks / "optim"


@pytest.mark.parametrize("kind", ENGINES[1:])
def test_averages_and_what_they_predict_are_those_of_ddp(trained: Path, kind: str) -> None:
    states, expected = (load_file(trained / f"{name}.fp32") for name in (kind, "plain"))
    assert states.keys() == expected.keys()
    for name, value in expected.items():
        assert (states[name] - value).abs().max() <= 1e-5, name
    assert any("|average|" in name for name in expected)


@pytest.mark.parametrize(
    ("kind", "half"),
    [
        *itertools.product(HALF_ENGINES[1:], HALVES),
        *((kind, "huge") for kind in HUGE_ENGINES[1:]),
    ],
)
def test_networks_in_half_precision_train_as_under_ddp(trained: Path, kind: str, half: str) -> None:
    """With scaled losses in fp16; also with a scale that first makes them overflow."""
    states, expected = (load_file(trained / f"{name}.{half}") for name in (kind, "plain"))
    for name, value in expected.items():
        if "|optimizer|" not in name:
            assert (states[name] - value).abs().max() <= 1e-5, name
