"""Every engine against plain torch: see `tests.support.ranks.engines` for what is trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.support.engine_training import TAKEN
from tests.support.forked_runs import ForkedRuns, finish
from tests.support.joint_stage import JointStage, train_in_plain_torch
from tests.support.ranks.engines import KINDS_OF, OTHER_WORLD, RECOMPUTED, sources_of

RUNS = [(world, kind) for world in OTHER_WORLD for kind in KINDS_OF[world]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, forked_runs: ForkedRuns) -> Path:
    """What one rank and two have captured.

    They run at the same time, for each goes on from the other's states.
    """
    out = tmp_path_factory.mktemp("engines")
    ranks = []
    for world in OTHER_WORLD:
        ranks += forked_runs.start_ranks(out / str(world), "engines", out, world=world)
    finish(ranks)
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
    """Uneven micro-batches, clipping, graphs kept, updates left out for a NaN and by a guard.

    What is not finite is a loss, or one element of a gradient on one rank under finite losses.
    """
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


@pytest.mark.parametrize("kind", RECOMPUTED)
def test_activations_that_are_computed_again_give_the_same_training(
    trained: Path, kind: str
) -> None:
    """Bit for bit, dropout included."""
    kept = load_file(trained / "2" / f"{kind}.early")
    _assert_close(load_file(trained / "2" / f"{kind}.recomputed"), kept, 0.0)


@pytest.mark.parametrize(("world", "kind"), RUNS)
def test_captured_states_have_one_form(trained: Path, world: int, kind: str) -> None:
    """That of plain torch on one rank: engines and ranks leave no trace in names and shapes."""
    for time in ("early", "late"):
        plain = load_file(trained / "1" / f"plain.{time}")
        states = load_file(trained / f"{world}" / f"{kind}.{time}")
        assert {name: (value.shape, value.dtype) for name, value in states.items()} == {
            name: (value.shape, value.dtype) for name, value in plain.items()
        }


@pytest.mark.parametrize(("world", "kind"), RUNS)
def test_states_of_other_engines_on_another_number_of_ranks_are_taken_whole(
    trained: Path, world: int, kind: str
) -> None:
    """Bit for bit; an update later they are where the unbroken run on one rank is."""
    other = OTHER_WORLD[world]
    unbroken = load_file(trained / "1" / "plain.late")
    for source in sources_of(kind, other):
        name = f"{world}/{kind}.from-{other}-{source}"
        early = load_file(trained / f"{other}" / f"{source}.early")
        _assert_close(load_file(trained / f"{name}.early"), early, 0.0)
        late = load_file(trained / f"{name}.late")
        _assert_close(late, load_file(trained / f"{other}" / f"{source}.late"), 1e-6)
        _assert_close(late, unbroken, 1e-5)


def _assert_close(states: dict[str, Tensor], others: dict[str, Tensor], tolerance: float) -> None:
    assert states.keys() == others.keys()
    assert {"step", "exp_avg", "exp_avg_sq"} <= {
        name.split("|")[2].split("/")[0] for name in states if "|optimizer|" in name
    }
    for name, value in states.items():
        assert torch.allclose(value, others[name], rtol=tolerance, atol=tolerance), name
