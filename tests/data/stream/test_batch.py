"""The batch contract: what moves with a batch, and what stays."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, fields, replace

import pytest
import torch
from torch import Tensor

from gsv2.data.plan.window import LanePosition, PartPosition
from gsv2.data.stream.batch import BadClip, Batch

TENSORS = ("sequence", "packed_row", "wave", "wave_lengths", "codes", "code_lengths")


def full_batch() -> Batch:
    """Return two clips with everything that a batch may have, nothing of it a default."""
    return Batch(
        micro_batch=7,
        lane=3,
        epoch=1,
        position=LanePosition(3, 1, 1, (PartPosition(1, 0, 4, 2.5),)),
        keys=("a", "b"),
        speakers=("s", "s"),
        languages=("en", "en"),
        texts=("one", "two"),
        mixture_parts=(0, 1),
        epochs=(1, 2),
        sequence=torch.tensor([0, 0]),
        packed_row=torch.tensor([0, 0]),
        num_packed_rows=2,
        row_tokens=60,
        wave=torch.ones(2, 1, 8),
        wave_lengths=torch.tensor([8, 5]),
        codes=torch.ones(2, 2, 3, dtype=torch.int64),
        code_lengths=torch.tensor([3, 2]),
        weight=0.5,
        padding=0.25,
        bad=(BadClip(key="c", shard="x.tar", reason="torn", mixture_part=1, epoch=2),),
    )


def test_every_tensor_moves_and_all_else_stays() -> None:
    batch = full_batch()
    moved = batch.to(torch.device("meta"))
    for field in fields(Batch):
        ours, theirs = getattr(moved, field.name), getattr(batch, field.name)
        assert isinstance(theirs, Tensor) == (field.name in TENSORS)
        if field.name not in TENSORS:
            assert ours == theirs, field.name
            continue
        assert ours.device.type == "meta", field.name
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        assert theirs.device.type == "cpu", "the batch itself is as it was"


def test_moving_to_where_it_is_copies_nothing() -> None:
    batch = full_batch()
    there = batch.to(torch.device("cpu"))
    for name in TENSORS:
        assert getattr(there, name).data_ptr() == getattr(batch, name).data_ptr()


def test_tensors_that_the_stage_did_not_ask_for_stay_none() -> None:
    bare = replace(full_batch(), packed_row=None, wave=None, wave_lengths=None)
    moved = bare.to(torch.device("meta"))
    assert (moved.packed_row, moved.wave, moved.wave_lengths) == (None, None, None)
    assert moved.codes.device.type == "meta"


def test_pinning_is_asked_of_every_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    """DataLoader calls it by its name; without a GPU there is no such memory."""
    asked: list[int] = []

    def pin(tensor: Tensor) -> Tensor:
        asked.append(tensor.data_ptr())
        return tensor.clone()

    monkeypatch.setattr(Tensor, "pin_memory", pin)
    batch = full_batch()
    pinned = Batch.pin_memory(batch)
    assert asked == [getattr(batch, name).data_ptr() for name in TENSORS]
    assert all(torch.equal(getattr(pinned, name), getattr(batch, name)) for name in TENSORS)


def test_the_number_of_clips_is_that_of_the_keys() -> None:
    assert full_batch().num_clips == 2
    assert replace(full_batch(), keys=()).num_clips == 0


def test_a_batch_goes_between_processes_as_it_is_and_cannot_be_changed() -> None:
    batch = full_batch()
    again = pickle.loads(pickle.dumps(batch))
    for field in fields(Batch):
        ours, theirs = getattr(again, field.name), getattr(batch, field.name)
        same = torch.equal(ours, theirs) if isinstance(theirs, Tensor) else ours == theirs
        assert same, field.name
    with pytest.raises(FrozenInstanceError):
        batch.weight = 1.0  # type: ignore[misc]
