"""Every engine against plain torch: see `tests.integration.engines` for what is trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.integration.engines import ALONE, KINDS, TAKEN
from tests.integration.joint_stage import JointStage, train_in_plain_torch
from tests.integration.launch import finish, start_deepspeed_ranks, start_one

RUNS = [(1, kind) for kind in ALONE] + [(2, kind) for kind in KINDS]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one rank (plain `python`) and two (`accelerate launch --use_deepspeed`) have captured.

    Two ranks also go on from what one has captured under ZeRO-2.
    """
    out = tmp_path_factory.mktemp("engines")
    (out / "1").mkdir()
    (out / "2").mkdir()
    finish(start_one("tests.integration.engines", str(out / "1")))
    more = str(out / "1" / "zero2.early")
    finish(start_deepspeed_ranks(2, "tests.integration.engines", str(out / "2"), more))
    return out


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    """What plain torch makes of the updates that are taken."""
    stage = JointStage(tmp_path_factory.mktemp("reference"))
    train_in_plain_torch(stage, TAKEN)
    return {
        f"{name}|weights|{key}": value
        for name, trainable in stage.trainables.items()
        for key, value in trainable.module.state_dict().items()
    }


@pytest.mark.parametrize(("world", "kind"), RUNS)
def test_an_engine_trains_as_plain_torch_does(
    trained: Path, reference: dict[str, Tensor], world: int, kind: str
) -> None:
    """Uneven micro-batches, clipping, graphs kept, updates left out for a NaN and by a guard."""
    states = load_file(trained / f"{world}" / f"{kind}.late")
    assert reference.keys() <= states.keys()
    for name, value in reference.items():
        assert (states[name] - value).abs().max() <= 1e-5, name


@pytest.mark.parametrize(("world", "kind"), RUNS)
def test_an_engine_goes_on_from_a_captured_state_as_if_unbroken(
    trained: Path, world: int, kind: str
) -> None:
    """The losses are scaled by a power of two here, which changes nothing."""
    folder = trained / f"{world}"
    for time in ("early", "late"):
        unbroken = load_file(folder / f"{kind}.{time}")
        _assert_close(load_file(folder / f"{kind}.from-{world}-{kind}.{time}"), unbroken, 0.0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_of_another_engine_and_world_size_is_taken_whole(trained: Path, kind: str) -> None:
    """Bit for bit; after another update on two ranks it is where ZeRO-2 on one rank gets to."""
    early = load_file(trained / "1" / "zero2.early")
    _assert_close(load_file(trained / "2" / f"{kind}.from-1-zero2.early"), early, 0.0)
    late = load_file(trained / "1" / "zero2.late")
    _assert_close(load_file(trained / "2" / f"{kind}.from-1-zero2.late"), late, 2e-7)


def _assert_close(states: dict[str, Tensor], others: dict[str, Tensor], tolerance: float) -> None:
    assert states.keys() == others.keys()
    assert {"step", "exp_avg", "exp_avg_sq"} <= {
        name.split("|")[2].split("/")[0] for name in states if "|optimizer|" in name
    }
    for name, value in states.items():
        torch.testing.assert_close(value, others[name], rtol=tolerance, atol=tolerance, msg=name)
