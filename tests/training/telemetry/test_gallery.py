from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gsv2.training.distributed.ranks import Distributed
from gsv2.training.telemetry import gallery
from gsv2.training.telemetry.gallery import Gallery, first_clips
from gsv2.training.telemetry.tracker import PanelFile
from gsv2.training.telemetry.tracking import TrackingConfig
from tests.support.panel_stage import ShowingStage
from tests.support.toy_stage import ToyStage, fit_toy, toy_batch, toy_config


class Ear:
    """A tracker that remembers what it was shown."""

    def __init__(self) -> None:
        self.shown: list[tuple[int, list[str]]] = []

    def show(self, step: int, files: Sequence[PanelFile]) -> None:
        self.shown.append((step, [file.name for file in files]))


def make_gallery(folder: Path, distributed: Distributed, stage: Any, **options: Any) -> Gallery:
    return Gallery(stage, distributed, TrackingConfig(**options), folder / "samples", seed=0)


def test_the_first_clips_of_the_first_batch_with_any_are_shown(
    tmp_path: Path, distributed: Distributed
) -> None:
    made = make_gallery(
        tmp_path, distributed, ShowingStage(toy_config(tmp_path), torch.device("cpu")), samples=2
    )
    empty = replace(toy_batch(1), weight=0.0)
    assert len(list(made.watch([empty, toy_batch(3), toy_batch(7)]))) == 3
    ear = Ear()
    made.show(4, [ear])  # type: ignore[list-item]  # a tracker of pictures alone
    list(made.watch([toy_batch(9)]))
    made.show(8, [ear])  # type: ignore[list-item]
    names = ["clip-3-0/sheet", "clip-3-0/made", "clip-3-1/sheet", "clip-3-1/made"]
    assert ear.shown == [(4, names), (8, names)]


def test_of_a_stage_without_panels_nothing_is_written(
    tmp_path: Path, distributed: Distributed
) -> None:
    stage = ToyStage(toy_config(tmp_path), torch.device("cpu"))
    made = make_gallery(tmp_path, distributed, stage, samples=2)
    list(made.watch([toy_batch(0)]))
    ear = Ear()
    made.show(4, [ear])  # type: ignore[list-item]
    assert ear.shown == []
    assert not (tmp_path / "samples").exists()


def test_showing_leaves_modes_as_they_were_and_noise_is_the_same_every_time(
    tmp_path: Path, distributed: Distributed
) -> None:
    stage = ShowingStage(toy_config(tmp_path), torch.device("cpu"))
    made = make_gallery(tmp_path, distributed, stage, samples=1, keep_samples=2)
    list(made.watch([toy_batch(0)]))
    made.show(1, [])
    made.show(2, [])
    sounds = [path.read_bytes() for path in sorted((tmp_path / "samples").rglob("*.flac"))]
    assert len(sounds) == 2
    assert sounds[0] == sounds[1]
    assert stage.trainables["generator"].module.training


def test_a_full_disk_costs_the_samples_and_not_the_run(
    tmp_path: Path,
    distributed: Distributed,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def full(*args: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(gallery, "write_samples", full)
    fit_toy(toy_config(tmp_path), distributed, stage_class=ShowingStage)
    assert "step 3: no samples: [Errno 28] No space left" in caplog.text


def test_a_run_writes_samples_at_every_validation(tmp_path: Path, distributed: Distributed) -> None:
    fit_toy(toy_config(tmp_path), distributed, stage_class=ShowingStage)
    folder = tmp_path / "run" / "samples"
    assert sorted(path.name for path in folder.iterdir()) == ["step_00000003", "step_00000006"]
    assert (folder / "step_00000003" / "clip-1000-0.made.flac").exists()


def test_a_stage_without_panels_and_a_run_without_samples_show_nothing(
    tmp_path: Path, distributed: Distributed
) -> None:
    fit_toy(toy_config(tmp_path / "a"), distributed)
    config = toy_config(tmp_path / "b", tracking={"samples": 0})
    fit_toy(config, distributed, stage_class=ShowingStage)
    assert not list(tmp_path.rglob("samples"))


def test_clips_that_were_packed_are_taken_out_of_their_rows() -> None:
    rows = {"packed_row": torch.tensor([0, 0, 1, 1]), "num_packed_rows": 2, "row_tokens": 9}
    cut = first_clips(replace(toy_batch(3, num_clips=4), **rows), 3)
    assert (cut.packed_row, cut.num_packed_rows, cut.row_tokens, cut.num_clips) == (None, 0, 0, 3)


def test_the_first_clips_of_a_batch_are_a_copy_with_every_field_cut() -> None:
    batch = toy_batch(3, bad=1)
    cut = first_clips(batch, 2)
    assert (cut.keys, cut.num_clips) == (batch.keys[:2], 2)
    assert {len(cut.speakers), len(cut.epochs), len(cut.sequence)} == {2}
    assert cut.position == batch.position
    assert cut.bad == ()
    assert batch.wave is not None
    assert cut.wave is not None
    assert torch.equal(cut.wave, batch.wave[:2])
    assert cut.wave.data_ptr() != batch.wave.data_ptr()
