"""Discriminators that join in a later step, or train in every n-th; the STFT loss."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gsv2.models.vits2.istft_generator import ISTFTGenerator
from gsv2.stages.vits2 import VITS2Stage
from gsv2.stages.vits2_config import DiscriminatorSection
from tests.support.made_up_flops import MadeUpFlops
from tests.support.tiny_vits2 import ISTFT, TINY, make_batch, make_run_stage

SPECTRA = {"mel", "kl"}
JUDGED = {"adversarial", "feature_matching", *SPECTRA}


def step_of(stage: VITS2Stage, step: int) -> list[tuple[str, set[str]]]:
    """Return the updates of a step and their terms; nothing is trained."""
    return [
        (update.trainable, {name.partition("/")[2] for name in update.metrics})
        for update in stage.updates(make_batch(), step)
    ]


def test_before_their_start_the_discriminators_neither_run_nor_train(tmp_path: Path) -> None:
    stage = make_run_stage(tmp_path, {"start_step": 3})
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
    stage = make_run_stage(tmp_path, {"start_step": start})
    assert [len(step_of(stage, step)) for step in (1, 2, 3)] == [2, 2, 2]
    assert DiscriminatorSection().trains_at(1)
    assert stage.full_step == 1


def test_between_their_updates_they_judge(tmp_path: Path) -> None:
    stage = make_run_stage(tmp_path, {"start_step": 2, "every_n_steps": 3})
    steps = [step_of(stage, step) for step in range(1, 7)]
    assert [len(updates) for updates in steps] == [1, 2, 1, 1, 2, 1]
    assert [updates[-1][1] for updates in steps] == [SPECTRA, *[JUDGED] * 5]


def test_a_batch_without_a_clip_takes_the_same_branch(tmp_path: Path) -> None:
    """Another rank's batch has clips, and waits for this one's gradients."""
    stage = make_run_stage(tmp_path, {"start_step": 2})
    for step, names in ((1, ["generator"]), (2, ["discriminator", "generator"])):
        updates = list(stage.updates(make_batch(()), step))
        assert [update.trainable for update in updates] == names
        assert all(update.loss.item() == 0 for update in updates)


def test_the_full_step_is_one_that_has_both_updates(tmp_path: Path) -> None:
    stage = make_run_stage(tmp_path / "late", {"start_step": 4, "every_n_steps": 2})
    assert len(step_of(stage, stage.full_step)) == 2
    assert make_run_stage(tmp_path / "never", {"start_step": 7}).full_step == 1


def test_a_share_of_the_run_decides_when_they_start(tmp_path: Path) -> None:
    stage = make_run_stage(tmp_path, {"start_fraction": 0.5})  # of 6 steps
    assert [len(step_of(stage, step)) for step in range(1, 7)] == [1, 1, 2, 2, 2, 2]
    assert stage.full_step == 3
    never = make_run_stage(tmp_path / "never", {"start_fraction": 1.0})
    assert [len(step_of(never, step)) for step in (1, 6)] == [1, 1]


def test_in_a_run_by_time_the_share_follows_its_speed() -> None:
    section = DiscriminatorSection(start_fraction=0.8, every_n_steps=2)
    assert section.judges_at(1)  # nobody knows how long it takes, and its memory is seen
    assert not section.judges_at(79, total_steps=100)
    assert section.judges_at(80, total_steps=100)
    assert not section.judges_at(80, total_steps=120)
    trained = [step for step in range(70, 90) if section.trains_at(step, total_steps=100)]
    assert trained == [80, 82, 84, 86, 88]


def test_flops_are_those_of_the_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Judgement and update of three segments, the judgement alone, or neither."""
    monkeypatch.setattr("gsv2.stages.vits2_flops.VITS2Flops", MadeUpFlops)
    stage = make_run_stage(tmp_path, {"start_step": 2, "every_n_steps": 2})
    counts = []
    for step in (1, 2, 3):
        step_of(stage, step)
        counts.append(stage.flops(make_batch((21, 12, 5)))["discriminator"])
    assert counts == [0.0, 3 * (1.0 + 3.0), 3 * 1.0]


def test_the_stft_loss_counts_with_its_weight_and_costs_nothing_without(tmp_path: Path) -> None:
    losses = []
    for weight in (0.0, 1.0, 3.0):
        weights = {"stft": weight}
        stage = make_run_stage(tmp_path, {"start_step": 9}, loss_weights=weights)
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
    stage = make_run_stage(tmp_path, section, generator={**TINY["generator"], "generator": ISTFT})
    assert isinstance(stage.trainables["generator"].module.generator, ISTFTGenerator)
    for update in stage.updates(make_batch(), 1):
        update.loss.backward()
        module = stage.trainables[update.trainable].module
        assert [name for name, p in module.named_parameters() if p.grad is None] == []
        module.zero_grad(set_to_none=True)


def test_spectra_alone_bring_an_inverse_stft_closer(tmp_path: Path) -> None:
    generator = {**TINY["generator"], "generator": ISTFT}
    stage = make_run_stage(tmp_path, {"start_step": 99}, generator=generator)
    trainable, mels = stage.trainables["generator"], []
    for step in range(1, 31):
        (update,) = stage.updates(make_batch(), step)
        update.loss.backward()
        trainable.optimizer.step()
        trainable.optimizer.zero_grad(set_to_none=True)
        mels.append(float(update.metrics["generator/mel"]))
    assert mels[-1] < 0.8 * mels[0], mels
