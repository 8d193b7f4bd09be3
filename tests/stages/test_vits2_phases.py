"""Discriminators that join in a later step, or train in every n-th; the STFT loss."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gsv2.data.stream.batch import Batch
from gsv2.models.component import ComponentError, load_component, save_component
from gsv2.models.vits2.istft_generator import ISTFTGenerator
from gsv2.models.vits2.model import VITS2, VITS2Config
from gsv2.seeds import seed_torch
from gsv2.stages.vits2 import VITS2Stage
from gsv2.stages.vits2_config import DiscriminatorSection, VITS2RunConfig
from gsv2.training.checkpoints.fingerprint import RunIdentity
from gsv2.training.checkpoints.restore import check_snapshot, read_record
from gsv2.training.checkpoints.resume import find_checkpoint
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.trainer import Trainer
from tests.support.tiny_gpt import save_quantizer
from tests.support.tiny_vits2 import OPTIM, TINY, make_batch, make_config
from tests.support.toy_stage import toy_mark

CPU = torch.device("cpu")
ISTFT = {"kind": "istft", "istft": {"dim": 16, "num_blocks": 2}}
SPECTRA = {"mel", "kl"}
JUDGED = {"adversarial", "feature_matching", *SPECTRA}


def run_config(folder: Path, discriminator: dict[str, Any], **model: Any) -> VITS2RunConfig:
    folder.mkdir(exist_ok=True)
    quantizer = save_quantizer(folder / "quantizer.safetensors")
    section = {
        "quantizer": str(quantizer),
        **TINY,
        "discriminator": {**TINY["discriminator"], **discriminator},
        **model,
    }
    optim = {**OPTIM, "schedule": "constant"}
    return make_config(
        quantizer,
        model=section,
        optim={"generator": optim, "discriminator": optim},
        run={"dir": str(folder), "name": "run"},
        data={"sources": [{"path": "x"}], "max_frames": 100, "micro_batches_per_step": 2},
        trainer={"max_steps": 6, "log_every_steps": 1},
        checkpoint={"every_steps": 100},
        tracking={"progress": False},
    )


def make_stage(folder: Path, discriminator: dict[str, Any], **model: Any) -> VITS2Stage:
    """Return the untrained stage of `run_config`."""
    config = run_config(folder, discriminator, **model)
    torch.manual_seed(0)
    return VITS2Stage(config, CPU)


def step_of(stage: VITS2Stage, step: int) -> list[tuple[str, set[str]]]:
    """Return the updates of a step and their terms; nothing is trained."""
    return [
        (update.trainable, {name.partition("/")[2] for name in update.metrics})
        for update in stage.updates(make_batch(), step)
    ]


def test_before_their_start_the_discriminators_neither_run_nor_train(tmp_path: Path) -> None:
    stage = make_stage(tmp_path, {"start_step": 3})
    judge = stage.trainables["discriminator"].module
    passes: list[object] = []
    judge.register_forward_hook(lambda *_: passes.append(None))
    for step in (1, 2):
        assert step_of(stage, step) == [("generator", SPECTRA)]
    assert passes == []
    assert step_of(stage, 3) == [("discriminator", set()), ("generator", JUDGED)]
    assert len(passes) == 3


@pytest.mark.parametrize("start", [0, 1])
def test_by_default_they_train_in_every_step(tmp_path: Path, start: int) -> None:
    stage = make_stage(tmp_path, {"start_step": start})
    assert [len(step_of(stage, step)) for step in (1, 2, 3)] == [2, 2, 2]
    assert DiscriminatorSection().trains_at(1)
    assert stage.full_step == 1


def test_between_their_updates_they_judge(tmp_path: Path) -> None:
    stage = make_stage(tmp_path, {"start_step": 2, "every_n_steps": 3})
    steps = [step_of(stage, step) for step in range(1, 7)]
    assert [len(updates) for updates in steps] == [1, 2, 1, 1, 2, 1]
    assert [updates[-1][1] for updates in steps] == [SPECTRA, *[JUDGED] * 5]


def test_a_batch_without_a_clip_takes_the_same_branch(tmp_path: Path) -> None:
    """Another rank's batch has clips, and waits for this one's gradients."""
    stage = make_stage(tmp_path, {"start_step": 2})
    for step, names in ((1, ["generator"]), (2, ["discriminator", "generator"])):
        updates = list(stage.updates(make_batch(()), step))
        assert [update.trainable for update in updates] == names
        assert all(update.loss.item() == 0 for update in updates)


def test_the_full_step_is_one_that_has_both_updates(tmp_path: Path) -> None:
    stage = make_stage(tmp_path / "late", {"start_step": 4, "every_n_steps": 2})
    assert len(step_of(stage, stage.full_step)) == 2
    assert make_stage(tmp_path / "never", {"start_step": 7}).full_step == 1


def test_flops_are_those_of_the_step(tmp_path: Path) -> None:
    stage = make_stage(tmp_path, {"start_step": 2, "every_n_steps": 2})
    counts = []
    for step in (1, 2, 3):
        step_of(stage, step)
        counts.append(stage.flops(make_batch((21, 12, 5)))["discriminator"])
    assert counts[0] == 0
    assert 0 < counts[2] < counts[1]


def test_the_stft_loss_counts_with_its_weight_and_costs_nothing_without(tmp_path: Path) -> None:
    losses = []
    for weight in (0.0, 1.0, 3.0):
        weights = {"stft": weight}
        stage = make_stage(tmp_path, {"start_step": 9}, loss_weights=weights)
        torch.manual_seed(1)
        (update,) = stage.updates(make_batch(), 1)
        losses.append(update.loss.item())
        assert ("generator/stft" in update.metrics) == (weight > 0)
    term = update.metrics["generator/stft"].item()
    assert losses[1] - losses[0] == pytest.approx(term, rel=1e-3)
    assert losses[2] - losses[0] == pytest.approx(3 * term, rel=1e-3)


def test_an_inverse_stft_and_resolutions_train_all_of_their_networks(tmp_path: Path) -> None:
    resolutions = {"n_fft": [256, 512], "hop_length": [64, 120], "win_length": [256, 400]}
    section = {"resolutions": resolutions, "resolution_channels": 4}
    stage = make_stage(tmp_path, section, generator={**TINY["generator"], "generator": ISTFT})
    assert isinstance(stage.trainables["generator"].module.generator, ISTFTGenerator)
    for update in stage.updates(make_batch(), 1):
        update.loss.backward()
        module = stage.trainables[update.trainable].module
        assert [name for name, p in module.named_parameters() if p.grad is None] == []
        module.zero_grad(set_to_none=True)


def test_spectra_alone_bring_an_inverse_stft_closer(tmp_path: Path) -> None:
    generator = {**TINY["generator"], "generator": ISTFT}
    stage = make_stage(tmp_path, {"start_step": 99}, generator=generator)
    trainable, mels = stage.trainables["generator"], []
    for step in range(1, 31):
        (update,) = stage.updates(make_batch(), step)
        update.loss.backward()
        trainable.optimizer.step()
        trainable.optimizer.zero_grad(set_to_none=True)
        mels.append(float(update.metrics["generator/mel"]))
    assert mels[-1] < 0.8 * mels[0], mels


def numbered_batch(k: int) -> Batch:
    mark = toy_mark(k)
    epoch = mark.parts[0].epoch
    return replace(
        make_batch((12, 9)),
        micro_batch=k,
        lane=mark.lane,
        epoch=epoch,
        position=mark,
        keys=(f"{k}-0", f"{k}-1"),
        mixture_parts=(0, 0),
        epochs=(epoch, epoch),
    )


def fit(config: VITS2RunConfig, max_steps: int) -> dict[str, Tensor]:
    torch.manual_seed(0)
    stage = VITS2Stage(config, CPU)
    config = replace(config, trainer=replace(config.trainer, max_steps=max_steps))
    seed_torch(0)
    Trainer(config, Distributed()).fit(
        stage,
        lambda start, marks: map(numbered_batch, itertools.count(start)),
    )
    return {
        f"{name}/{key}": value
        for name, trainable in stage.trainables.items()
        for key, value in trainable.module.state_dict().items()
    }


@pytest.mark.parametrize("stop", [2, 3, 4])
def test_a_resumed_run_is_the_same_to_the_bit_across_the_start(tmp_path: Path, stop: int) -> None:
    """Before it, at it and behind it; the discriminators have no moments before it."""
    section = {"start_step": 4, "every_n_steps": 2}
    whole = fit(run_config(tmp_path / "whole", section), 6)
    fit(run_config(tmp_path / "parts", section), stop)
    parts = fit(run_config(tmp_path / "parts", section), 6)
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
    assert check_snapshot(checkpoint, make_stage(tmp_path, {}).trainables, identity).state.step == 2
    generator = {**TINY["generator"], "generator": {**TINY["generator"]["generator"], **ISTFT}}
    other = make_stage(tmp_path, {}, generator=generator)
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
