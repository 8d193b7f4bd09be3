"""Runs of VITS2 that are gone on with, and checkpoints of before."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gsv2.models.component import ComponentError, load_component, save_component
from gsv2.models.vits2.config import VITS2Config
from gsv2.models.vits2.model import VITS2
from gsv2.seeds import seed_torch
from gsv2.stages.vits2 import VITS2Stage
from gsv2.stages.vits2_config import VITS2RunConfig
from gsv2.training.checkpoints.fingerprint import RunIdentity
from gsv2.training.checkpoints.restore import check_snapshot, read_record
from gsv2.training.checkpoints.resume import find_checkpoint
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.trainer import Trainer
from tests.support.tiny_vits2 import (
    ISTFT,
    TINY,
    make_run_stage,
    numbered_batch,
    run_config,
)

CPU = torch.device("cpu")


def fit(config: VITS2RunConfig, max_steps: int) -> dict[str, Tensor]:
    torch.manual_seed(0)
    stage = VITS2Stage(config, CPU)
    config = replace(config, trainer=replace(config.trainer, max_steps=max_steps))
    seed_torch(0)
    Trainer(config, Distributed()).fit(
        stage,
        lambda start, positions: map(numbered_batch, itertools.count(start)),
    )
    return {
        f"{name}/{key}": value
        for name, trainable in stage.trainables.items()
        for key, value in trainable.module.state_dict().items()
    }


LATE = {"start_step": 4, "every_n_steps": 2}
"""Discriminators that join in the fourth step."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    """What an unbroken run of six steps trains."""
    return fit(run_config(tmp_path_factory.mktemp("whole"), LATE), 6)


@pytest.mark.parametrize("stop", [2, 3, 4])
def test_a_resumed_run_is_the_same_to_the_bit_across_the_start(
    tmp_path: Path, whole: dict[str, Tensor], stop: int
) -> None:
    """Before it, at it and behind it; the discriminators have no moments before it."""
    fit(run_config(tmp_path / "parts", LATE), stop)
    parts = fit(run_config(tmp_path / "parts", LATE), 6)
    torch.testing.assert_close(parts, whole, rtol=0, atol=0)
    checkpoint = find_checkpoint(tmp_path / "parts" / "run", "auto", None)
    assert checkpoint is not None
    assert read_record(checkpoint)["schedules"] == {"generator": 6, "discriminator": 2}


def _forget(path: Path, names: tuple[str, ...], kind: str) -> None:
    """Make a component file one of before fields existed."""
    component = load_component(path, kind)
    config = json.loads(json.dumps(component.config))
    for name in names:
        section = config["generator"] if name in ("kind", "istft") else config
        del section[name]
    module = torch.nn.Module()
    for name, value in component.tensors.items():
        *parents, last = name.split(".")
        node = module
        for parent in parents:
            if not hasattr(node, parent):
                node.add_module(parent, torch.nn.Module())
            node = getattr(node, parent)
        node.register_buffer(last, value)
    save_component(path, module, kind=kind, config=config, provenance=component.provenance)


def test_a_checkpoint_of_before_is_gone_on_from_as_hifigan(tmp_path: Path) -> None:
    fit(run_config(tmp_path, {}), 2)
    checkpoint = find_checkpoint(tmp_path / "run", "auto", None)
    assert checkpoint is not None
    _forget(checkpoint / "generator.safetensors", ("kind", "istft"), "vits2")
    names = ("resolutions", "resolution_channels")
    _forget(checkpoint / "discriminator.safetensors", names, "discriminator")
    model = VITS2.from_component(load_component(checkpoint / "generator.safetensors", "vits2"))
    assert model.config.generator.kind == "hifigan"
    identity = RunIdentity(seed=0, lanes=run_config(tmp_path, {}).data.lanes)
    assert (
        check_snapshot(checkpoint, make_run_stage(tmp_path, {}).trainables, identity).state.step
        == 2
    )
    generator = {**TINY["generator"], "generator": {**TINY["generator"]["generator"], **ISTFT}}
    other = make_run_stage(tmp_path, {}, generator=generator)
    with pytest.raises(
        ValueError, match=r"generator\.(istft\.dim is 512|kind is 'hifigan') there, but"
    ):
        check_snapshot(checkpoint, other.trainables, identity)


def test_a_component_of_an_unknown_kind_of_generator_is_refused(tmp_path: Path) -> None:
    fit(run_config(tmp_path, {}), 1)
    checkpoint = find_checkpoint(tmp_path / "run", "auto", None)
    assert checkpoint is not None
    component = load_component(checkpoint / "generator.safetensors", "vits2")
    component.config["generator"]["kind"] = "wavenext"
    with pytest.raises(
        ComponentError, match="kind must be one of hifigan, istft, but is 'wavenext'"
    ):
        component.read_config(VITS2Config)
