"""What trackers are told over the launches of one run."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from unittest.mock import MagicMock
from uuid import uuid4

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

from gsv2.data.stream.batch import Batch
from gsv2.training.checkpoints.mirror import CheckpointMirror
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.faults.signals import Preempted, StopSignals
from gsv2.training.telemetry import tracking
from tests.support.toy_stage import ToyStage, fit_toy, toy_config
from tests.training.test_trainer import Killed, dying_at


class ToldInValidation(ToyStage):
    def validate(self, batch: Batch) -> Mapping[str, Tensor]:
        os.kill(os.getpid(), signal.SIGTERM)
        return super().validate(batch)


def test_a_row_whose_validation_is_made_up_for_twice_is_once_in_tensorboard(
    tmp_path: Path, distributed: Distributed
) -> None:
    """Told to leave in the validation of step 3; killed after its row, before a checkpoint."""
    config = toy_config(tmp_path, tracking={"tensorboard": True})
    with StopSignals() as signals, pytest.raises(Preempted):
        fit_toy(config, distributed, stage_class=ToldInValidation, signals=signals)
    with pytest.raises(Killed):
        fit_toy(config, distributed, make_batch=dying_at(4 * 3))
    fit_toy(config, distributed)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"), {"scalars": 0}).Reload()
    assert [event.step for event in events.Scalars("generator/error")] == [1, 2, 3, 4, 5, 6]
    assert [event.step for event in events.Scalars("validation/generator/error")] == [3, 6]


def test_a_fresh_machine_goes_on_under_the_wandb_id_of_the_checkpoint(
    tmp_path: Path, distributed: Distributed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "WandbTracker", MagicMock())
    target = f"memory://{uuid4().hex}/runs"
    wandb, disabled = (
        toy_config(tmp_path, checkpoint={"target": target}, tracking={"wandb": mode})
        for mode in ("offline", "disabled")
    )
    with pytest.raises(Killed):
        fit_toy(wandb, distributed, make_batch=dying_at(4 * 3))
    run_id = (tmp_path / "run" / "wandb_id").read_text()
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(Killed):
        fit_toy(disabled, distributed, make_batch=dying_at(4 * 5))
    assert not (tmp_path / "run" / "wandb_id").exists()
    shutil.rmtree(tmp_path / "run")
    fit_toy(wandb, distributed)
    assert (tmp_path / "run" / "wandb_id").read_text() == run_id


@pytest.mark.parametrize(
    ("resume", "is_kept"),
    [
        ("{folder}/run", False),
        ("{folder}/run/checkpoints/step_00000002", False),
        ("{target}/run", False),
        ("{folder}/new/earlier/1", True),
        ("{target}/new/checkpoints/step_00000002", True),
    ],
)
def test_a_run_begun_with_the_checkpoint_of_another_is_another_in_wandb(
    tmp_path: Path,
    distributed: Distributed,
    monkeypatch: pytest.MonkeyPatch,
    resume: str,
    is_kept: bool,
) -> None:
    monkeypatch.setattr(tracking, "WandbTracker", MagicMock())
    target = f"memory://{uuid4().hex}/runs"
    sections = {"tracking": {"wandb": "offline"}, "trainer": {"max_steps": 2}}
    fit_toy(toy_config(tmp_path, checkpoint={"target": target}, **sections), distributed)
    shutil.copytree(tmp_path / "run", tmp_path / "new" / "earlier" / "1")
    CheckpointMirror(f"{target}/new").put(tmp_path / "run" / "checkpoints" / "step_00000002", 2)
    run_id = (tmp_path / "run" / "wandb_id").read_text()
    where = resume.format(folder=tmp_path, target=target)
    checkpoint = {"target": target, "resume": where}
    sections["trainer"] = {"max_steps": 3}
    fit_toy(
        toy_config(tmp_path, run={"name": "new"}, checkpoint=checkpoint, **sections), distributed
    )
    found = (tmp_path / "new" / "wandb_id").read_text()
    assert (found == run_id) == is_kept
    state = json.loads((tmp_path / "new/checkpoints/step_00000003/state.json").read_text())
    assert state["run"]["wandb_id"] == found
