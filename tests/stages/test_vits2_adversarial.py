"""Hinge, R1, spectral norm and several mels as a run has them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gsv2.stages.vits2_discriminators import DiscriminatorSection
from tests.support.tiny_vits2 import make_batch, make_run_stage


def test_all_options_train_together(tmp_path: Path) -> None:
    options = {"loss": "hinge", "norm": "spectral", "r1": 0.1, "r1_every_n_steps": 2}
    mels = {"win_length": [512, 2048], "num_mels": [20, 80]}
    stage = make_run_stage(tmp_path, options, mel_resolutions=mels)
    for step, has_r1 in ((1, True), (2, False), (3, True)):
        judged, generated = stage.updates(make_batch(), step)
        for update in (judged, generated):
            update.loss.backward()
            parameters = list(stage.trainables[update.trainable].module.parameters())
            assert all(p.grad is not None and p.grad.isfinite().all() for p in parameters)
        assert ("discriminator/r1" in judged.metrics) == has_r1


def test_r1_counts_in_its_steps_as_much_as_in_all() -> None:
    section = DiscriminatorSection(start_step=5, r1=2.0, r1_every_n_steps=4)
    assert [section.r1_at(step) for step in range(4, 10)] == [0, 8.0, 0, 0, 0, 8.0]
    assert DiscriminatorSection().r1_at(1) == 0


def test_r1_slows_the_discriminators_at_recordings(tmp_path: Path) -> None:
    found = {}
    for r1 in (1e-9, 100.0):
        torch.manual_seed(0)
        stage = make_run_stage(tmp_path / str(r1), {"r1": r1, "r1_every_n_steps": 1})
        for step in range(1, 13):
            torch.manual_seed(step)
            judged = next(stage.updates(make_batch(), step))
            judged.loss.backward()
            judges = stage.trainables["discriminator"]
            judges.optimizer.step()
            judges.optimizer.zero_grad()
        found[r1] = judged.metrics["discriminator/r1"].item()
    assert found[100.0] < found[1e-9]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"r1": -1.0}, "r1 must be 0 or above"),
        ({"r1": 1.0, "every_n_steps": 3}, "multiple of every_n_steps"),
        ({"r1_every_n_steps": 0}, "r1_every_n_steps must be at least 1"),
    ],
)
def test_wrong_values_are_named(values: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DiscriminatorSection(**values)
