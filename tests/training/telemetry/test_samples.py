from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from matplotlib.image import imread

from gsv2.training.stage import Panel
from gsv2.training.telemetry.samples import draw_sheet, write_samples


def panel(name: str = "en/clip 1", level: float = 0.1) -> Panel:
    wave = level * torch.sin(torch.arange(6400) * 0.1)
    return Panel(name=name, waves={"recording": wave, "through_codes": 0.5 * wave})


def test_each_clip_has_one_sheet_and_a_sound_of_every_wave(tmp_path: Path) -> None:
    files = write_samples(tmp_path, 12, [panel()], keep=3)
    folder = tmp_path / "step_00000012"
    assert [(f.name, f.path) for f in files] == [
        ("en_clip_1/sheet", folder / "en_clip_1.png"),
        ("en_clip_1/recording", folder / "en_clip_1.recording.flac"),
        ("en_clip_1/through_codes", folder / "en_clip_1.through_codes.flac"),
    ]
    wave, rate = soundfile.read(files[1].path)
    assert (len(wave), rate) == (6400, 32_000)
    assert abs(wave).max() == pytest.approx(0.1, abs=1e-3)
    assert imread(files[0].path).shape[0] > 100


def test_the_last_validations_stay_and_those_after_a_rollback_go(tmp_path: Path) -> None:
    def steps() -> list[int]:
        return sorted(int(path.name.removeprefix("step_")) for path in tmp_path.iterdir())

    for step in (10, 20, 30, 40):
        write_samples(tmp_path, step, [panel()], keep=3)
    assert steps() == [20, 30, 40]
    write_samples(tmp_path, 25, [panel()], keep=3)  # the run went on from step 20
    assert steps() == [20, 25]
    write_samples(tmp_path, 25, [panel()], keep=1)
    assert steps() == [25]


def test_a_wave_that_is_not_finite_has_no_sound_and_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A network that diverged must not end its run through its samples."""
    broken = Panel(name="a", waves={"through_codes": torch.full((6400,), float("nan"))})
    files = write_samples(tmp_path, 1, [broken], keep=1)
    assert [file.name for file in files] == ["a/sheet"]
    assert "through_codes of a is not finite" in caplog.text


def test_what_a_killed_process_left_half_written_is_replaced(tmp_path: Path) -> None:
    (tmp_path / ".tmp-step_00000001").mkdir()
    (tmp_path / ".tmp-step_00000001" / "old.png").touch()
    write_samples(tmp_path, 1, [panel("b")], keep=1)
    assert [path.name for path in tmp_path.iterdir()] == ["step_00000001"]
    assert not (tmp_path / "step_00000001" / "old.png").exists()


def test_a_sheet_has_a_titled_picture_of_every_wave_and_image() -> None:
    tone = torch.sin(torch.arange(32_000) * 0.2)
    panel = Panel(
        name="a", waves={"loud": tone, "soft": 1e-3 * tone}, images={"error": torch.eye(4)}
    )
    axes = draw_sheet(panel).axes
    assert [a.get_title(loc="left") for a in axes] == ["loud", "soft", "error"]
    pictures = [a.images[0] for a in axes]
    assert pictures[0].get_array().shape == (128, 100)
    assert pictures[0].get_clim() == pictures[1].get_clim()  # one scale: soft looks soft
    assert np.array_equal(pictures[2].get_array(), np.eye(4))


def test_a_wave_shorter_than_a_frame_is_drawn() -> None:
    [axes] = draw_sheet(Panel(name="a", waves={"short": torch.zeros(3)})).axes
    assert axes.images[0].get_array().shape == (128, 1)
