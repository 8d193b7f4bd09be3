from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imsave
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gsv2.audio.wave import save_wave
from gsv2.training.telemetry.tensorboard import TensorBoardTracker
from gsv2.training.telemetry.tracker import GuardedTracker, PanelFile
from tests.support.full_disk import no_room_beyond


def read_events(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()


def track(folder: Path, done: int, steps: range, offset: float = 0.0) -> None:
    board = TensorBoardTracker(folder, done)
    for step in steps:
        board.log(step, {"gpt/loss": offset + step, "data/samples_seen": 2 * step, "text": "x"})
    board.close()


def test_tensorboards_own_reader_finds_every_number_at_its_step(tmp_path: Path) -> None:
    track(tmp_path, 0, range(1, 4))
    events = read_events(tmp_path)
    assert sorted(events.Tags()["scalars"]) == ["data/samples_seen", "gpt/loss"]
    assert [(e.step, e.value) for e in events.Scalars("gpt/loss")] == [(1, 1), (2, 2), (3, 3)]


def test_events_after_the_checkpoint_are_dropped_when_a_run_goes_on_from_it(
    tmp_path: Path,
) -> None:
    """A rollback: steps 1 to 5, killed, on again from the checkpoint of step 2."""
    track(tmp_path, 0, range(1, 6))
    track(tmp_path, 2, range(3, 5), offset=100.0)
    values = [(e.step, e.value) for e in read_events(tmp_path).Scalars("gpt/loss")]
    assert values == [(1, 1), (2, 2), (3, 103), (4, 104)]


def test_pictures_and_sounds_come_back_as_they_were(tmp_path: Path) -> None:
    picture = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    imsave(tmp_path / "a.png", picture, cmap="gray")
    save_wave(tmp_path / "a.flac", np.zeros(6400, dtype=np.float32), 32_000)
    board = TensorBoardTracker(tmp_path / "events", 0)
    board.show(
        7, [PanelFile("a/sheet", tmp_path / "a.png"), PanelFile("a/sound", tmp_path / "a.flac")]
    )
    board.close()
    events = read_events(tmp_path / "events")
    [image] = events.Images("samples/a/sheet")
    [sound] = events.Audio("samples/a/sound")
    assert (image.step, image.height, image.width) == (7, 3, 4)
    assert (sound.step, sound.sample_rate, sound.length_frames) == (7, 32_000, 6400)


def test_a_figure_that_is_not_finite_does_not_end_the_run(tmp_path: Path) -> None:
    board = TensorBoardTracker(tmp_path, 0)
    board.log(1, {"gpt/loss": float("nan"), "gpt/grad_norm": None})
    board.close()
    [event] = read_events(tmp_path).Scalars("gpt/loss")
    assert event.value == pytest.approx(float("nan"), nan_ok=True)


def test_a_full_disk_takes_the_events_and_not_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorBoard writes in a thread of its own; the next call hears of its end."""
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    board = GuardedTracker("TensorBoard", TensorBoardTracker(tmp_path, 0))
    with no_room_beyond(10):
        for step in (1, 2, 3):
            board.log(step, {"gpt/loss": 1.0})
    board.close(None, None, None)
    assert caplog.text.count("TensorBoard FAILED") == 1
