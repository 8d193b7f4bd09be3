from __future__ import annotations

import json
import logging
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from gsv2.data.plan.window import LanePosition
from gsv2.training.accounting.ledger import LaneEpoch, Tally
from gsv2.training.accounting.state import TrainState
from gsv2.training.checkpoints.checkpoint import CheckpointDamagedError, CheckpointMismatchError
from gsv2.training.checkpoints.restore import check_snapshot, read_state
from gsv2.training.checkpoints.tensor_file import write_tensors
from gsv2.training.distributed.ranks import Distributed
from tests.support.toy_stage import ToyStage
from tests.training.checkpoints.test_fingerprint import make_fingerprint
from tests.training.checkpoints.test_snapshot import (
    IDENTITY,
    load_snapshot,
    make_stage,
    save_snapshot,
)


@pytest.fixture
def stage(tmp_path: Path, distributed: Distributed) -> ToyStage:
    return make_stage(tmp_path, distributed)


@pytest.fixture
def folder(tmp_path: Path, stage: ToyStage) -> Path:
    (tmp_path / "snapshot").mkdir()
    state = TrainState(
        step=7,
        next_micro_batch=28,
        positions={0: LanePosition(0, 7, 3, ())},
        ledger={LaneEpoch(0, 0, 0): Tally(clips=3)},
    )
    identity = replace(IDENTITY, dataset=make_fingerprint())
    save_snapshot(tmp_path / "snapshot", stage, state, identity)
    return tmp_path / "snapshot"


def test_a_snapshot_of_another_format_is_refused(folder: Path, stage: ToyStage) -> None:
    record = json.loads((folder / "state.json").read_text())
    (folder / "state.json").write_text(json.dumps({**record, "format_version": 1}))
    with pytest.raises(CheckpointMismatchError, match="format_version is 1 there, but 2 in this"):
        check_snapshot(folder, stage.trainables, IDENTITY)


@pytest.mark.parametrize(
    ("word", "identity", "message"),
    [
        ("seed", replace(IDENTITY, seed=1), "seed is 0 there, but 1 in this run"),
        ("lanes", replace(IDENTITY, lanes=4), r"data\.lanes is 8 there, but 4 in this run"),
        (
            "dataset",
            replace(IDENTITY, dataset=make_fingerprint(max_frames=2048)),
            r"data\.max_frames is 1024 there, but 2048 in this run",
        ),
    ],
)
def test_another_stream_is_refused_by_what_differs_unless_it_is_accepted(
    folder: Path,
    stage: ToyStage,
    caplog: pytest.LogCaptureFixture,
    word: str,
    identity: object,
    message: str,
) -> None:
    with pytest.raises(CheckpointMismatchError, match=message) as caught:
        check_snapshot(folder, stage.trainables, identity)  # type: ignore[arg-type]
    assert f"checkpoint.accept=[{word}]" in str(caught.value)
    others = [other for other in ("seed", "lanes", "dataset") if other != word]
    with pytest.raises(CheckpointMismatchError, match=message):
        check_snapshot(folder, stage.trainables, identity, others)  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING):
        point = check_snapshot(folder, stage.trainables, identity, [word])  # type: ignore[arg-type]
    assert "ACCEPTED" in caplog.text
    assert (point.state.step, point.state.next_micro_batch) == (7, 28)
    assert (point.state.positions, point.state.ledger) == ({}, {})  # they are of the other stream


def test_the_same_stream_keeps_its_marks_whatever_is_accepted(
    folder: Path, stage: ToyStage
) -> None:
    same = replace(IDENTITY, dataset=make_fingerprint())
    point = check_snapshot(folder, stage.trainables, same, ["dataset", "seed", "lanes"])
    assert set(point.state.positions) == {0}
    assert len(point.state.ledger) == 1


def test_all_that_differs_is_named_at_once(folder: Path, stage: ToyStage) -> None:
    other = replace(IDENTITY, seed=1, dataset=make_fingerprint(max_frames=1, max_clips=9))
    with pytest.raises(CheckpointMismatchError) as caught:
        check_snapshot(folder, stage.trainables, other, ["seed"])
    assert "data.max_clips is 4 there, but 9" in str(caught.value)
    assert "data.max_frames is 1024 there, but 1" in str(caught.value)
    assert "checkpoint.accept=[dataset]" in str(caught.value)


def test_another_network_is_refused_by_what_differs(
    tmp_path: Path, folder: Path, stage: ToyStage, distributed: Distributed
) -> None:
    wide = make_stage(tmp_path, distributed, model={"width": 7})
    with pytest.raises(CheckpointMismatchError, match=r"generator\.width is 6 there, but 7"):
        check_snapshot(folder, wide.trainables, IDENTITY)
    for trainable in wide.trainables.values():  # a config that says nothing of it
        trainable.config = {**trainable.config, "width": 6}
    shapes = r"shape of generator\.layers\.0\.bias is \(6,\) there, but \(7,\) in this run"
    with pytest.raises(CheckpointMismatchError, match=shapes):
        check_snapshot(folder, wide.trainables, IDENTITY)
    del stage.trainables["discriminator"]
    with pytest.raises(CheckpointMismatchError, match="trainables"):
        check_snapshot(folder, stage.trainables, IDENTITY)


def test_another_quantizer_is_refused_unless_it_is_accepted(folder: Path, stage: ToyStage) -> None:
    stage.trainables["generator"].provenance = {"quantizer": "xyz"}
    with pytest.raises(CheckpointMismatchError, match="quantizer of generator is 'abc' there"):
        check_snapshot(folder, stage.trainables, IDENTITY)
    assert check_snapshot(folder, stage.trainables, IDENTITY, ["quantizer"]).state.positions


def test_nothing_is_changed_by_a_checkpoint_that_is_refused(folder: Path, stage: ToyStage) -> None:
    before = {k: v.clone() for k, v in stage.trainables["generator"].module.state_dict().items()}
    with pytest.raises(CheckpointMismatchError):
        check_snapshot(folder, stage.trainables, replace(IDENTITY, seed=1))
    after = stage.trainables["generator"].module.state_dict()
    torch.testing.assert_close(after, before, rtol=0, atol=0)


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return pytest.fail, ("unpickled",)


@pytest.mark.parametrize(
    "name", ["generator.safetensors", "generator.optimizer.safetensors", "state.json"]
)
@pytest.mark.parametrize("kind", ["pickle", "torch"])
def test_a_pickle_in_the_place_of_a_file_is_damage_and_is_not_run(
    folder: Path, stage: ToyStage, distributed: Distributed, name: str, kind: str
) -> None:
    if kind == "torch":
        torch.save({"x": Trap()}, folder / name)
    else:
        (folder / name).write_bytes(pickle.dumps(Trap()))
    with pytest.raises(CheckpointDamagedError, match=rf"{name}.* cannot be read"):
        load_snapshot(folder, stage, distributed)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("run", "step"), "x", r"run\.step"),
        (("run", "step"), None, r"run\.step"),
        (("run", "marks"), [1], r"run\.marks"),
        (("run", "ledger"), 3, r"run\.ledger"),
        (("schedules",), [], "schedules"),
        (("lanes",), "8", "lanes"),
        (("run",), None, "run"),
    ],
)
def test_a_damaged_state_is_named_by_file_and_key(
    folder: Path, stage: ToyStage, path: tuple[str, ...], value: object, message: str
) -> None:
    record = json.loads((folder / "state.json").read_text())
    table = record
    for key in path[:-1]:
        table = table[key]
    table[path[-1]] = value
    (folder / "state.json").write_text(json.dumps(record))
    with pytest.raises(CheckpointDamagedError, match=message) as error:
        check_snapshot(folder, stage.trainables, IDENTITY)
    assert "state.json" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "3", "[" * 100_000, "\ud800", "{}"])
def test_a_state_that_is_no_record_is_damage(folder: Path, stage: ToyStage, content: str) -> None:
    (folder / "state.json").write_text(content, encoding="utf-8", errors="surrogatepass")
    with pytest.raises(CheckpointDamagedError, match=r"state\.json") as error:
        check_snapshot(folder, stage.trainables, IDENTITY)
    assert "\n" not in str(error.value)


def test_files_that_are_gone_are_damage(folder: Path, stage: ToyStage) -> None:
    (folder / "generator.safetensors").unlink()
    with pytest.raises(CheckpointDamagedError, match=r"generator\.safetensors.* does not exist"):
        check_snapshot(folder, stage.trainables, IDENTITY)
    (folder / "generator.optimizer.safetensors").unlink()
    with pytest.raises(CheckpointDamagedError, match="every rank must see the run folder"):
        read_state(folder, "generator")


def test_a_state_of_one_trainable_comes_back(folder: Path, tmp_path: Path) -> None:
    tensors = {"exp_avg/x": torch.ones(2), "step/x": torch.tensor(3.0)}
    write_tensors(tmp_path / "a.optimizer.safetensors", tensors, {})
    write_tensors(tmp_path / "a.safetensors", {"x": torch.zeros(2)}, {})
    state = read_state(tmp_path, "a")
    torch.testing.assert_close(dict(state.optimizer), tensors)
    torch.testing.assert_close(dict(state.weights), load_file(tmp_path / "a.safetensors"))
