"""What a validation measures and shows of whole clips."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gsv2.data.stream.batch import Batch
from gsv2.stages.vits2 import VITS2Stage
from tests.support.tiny_vits2 import make_batch, make_run_stage, make_stage


@pytest.fixture
def stage(tmp_path: Path) -> VITS2Stage:
    made = make_stage(tmp_path)
    for trainable in made.trainables.values():
        trainable.module.eval()
    return made


def test_validation_does_not_depend_on_padding_or_noise(stage: VITS2Stage) -> None:
    batch = make_batch((12,))
    alone, together = stage.validate(batch), stage.validate(_padded(batch, 7))
    assert set(alone) == {"generator/mel_through_codes", "generator/mel_through_posterior"}
    for name, value in alone.items():
        assert not value.requires_grad
        torch.testing.assert_close(together[name], value, rtol=0, atol=2e-3)


def test_all_figures_are_of_each_style_and_padding_changes_none(tmp_path: Path) -> None:
    made = make_run_stage(tmp_path, {}, validation_figures="all")
    for trainable in made.trainables.values():
        trainable.module.eval()
    batch = make_batch((21, 12))
    figures = made.validate(batch)
    through = ("codes", "codes_own", "codes_mixed", "posterior")
    kinds = ("mel", "mcd", "pitch", "voicing", "stft")
    assert set(figures) == {f"generator/{k}_through_{t}" for k in kinds for t in through}
    assert all(torch.isfinite(value) for value in figures.values())
    alone = made.validate(make_batch((21,)))
    name = "generator/{}_through_codes_own"  # the style is the clip's, with company or without
    padded = made.validate(_padded(make_batch((21,)), 7))
    for kind in ("mel", "mcd", "stft"):
        value = alone[name.format(kind)]
        torch.testing.assert_close(padded[name.format(kind)], value, rtol=1e-2, atol=2e-3)


def _padded(batch: Batch, num_frames: int) -> Batch:
    """Return the batch with silence behind all clips."""
    assert batch.wave is not None
    assert batch.codes is not None
    return replace(
        batch,
        wave=torch.nn.functional.pad(batch.wave, (0, num_frames * 640)),
        codes=torch.nn.functional.pad(batch.codes, (0, (num_frames + 1) // 2), value=-1),
    )


def test_a_batch_without_a_clip_measures_nothing(stage: VITS2Stage) -> None:
    assert stage.validate(make_batch(())).keys() == stage.validate(make_batch((12,))).keys()
    assert all(value == 0 for value in stage.validate(make_batch(())).values())


def test_panels_are_each_clip_as_recorded_through_codes_and_through_the_posterior(
    stage: VITS2Stage,
) -> None:
    batch = make_batch()
    panels = stage.panels(batch)
    assert [panel.name for panel in panels] == list(batch.keys)
    for panel, length in zip(panels, batch.wave_lengths, strict=True):
        assert list(panel.waves) == ["recording", "through_codes", "through_posterior"]
        assert {len(wave) for wave in panel.waves.values()} == {int(length)}
    assert torch.equal(panels[1].waves["recording"], batch.wave[1, 0, : 12 * 640])
