import numpy as np
import pytest
import torch

from gsv2.data.batch import BadClip
from gsv2.data.collate import CODE_PADDING, collate
from gsv2.data.decode import Clip
from gsv2.data.plan import MicroBatchPlan

PLANNED = MicroBatchPlan(7, 1, 2, ((0, 1), (2,)), 100, 0.25)


def clip(row, samples, frames):
    return Clip(
        row=row,
        key=f"k{row}",
        shard="s",
        text="hi",
        language="en",
        speaker="ann",
        wave=np.full(samples, 0.5, dtype="float32"),
        codes=np.full((2, frames), row),
    )


def test_clips_are_padded_to_the_longest_and_keep_their_sequence():
    batch = collate(PLANNED, [[clip(0, 5, 2), clip(1, 9, 4)], [clip(2, 7, 3)]])
    assert (batch.micro_batch, batch.epoch, batch.padding, batch.weight) == (7, 2, 0.25, 1.0)
    assert batch.wave.shape == (3, 1, 9)
    assert batch.wave.sum() == pytest.approx(0.5 * (5 + 9 + 7))
    assert batch.wave_lengths.tolist() == [5, 9, 7]
    assert batch.codes.shape == (3, 2, 4)
    assert batch.codes[0].tolist() == [[0, 0, CODE_PADDING, CODE_PADDING]] * 2
    assert batch.code_lengths.tolist() == [2, 4, 3]
    assert batch.sequence.tolist() == [0, 0, 1]


def test_a_sequence_that_lost_all_clips_leaves_no_hole():
    bad = (BadClip(key="k0", shard="s", reason="gone"),)
    batch = collate(PLANNED, [[], [clip(2, 7, 3)]], bad)
    assert batch.sequence.tolist() == [0]
    assert batch.bad == bad


def test_no_clip_at_all_is_an_empty_batch_of_weight_0():
    batch = collate(PLANNED, [[], []])
    assert (batch.num_clips, batch.weight) == (0, 0.0)
    assert batch.sequence.dtype == torch.int64
