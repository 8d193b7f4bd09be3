import numpy as np
import pytest
import torch

from gsv2.data.corpus.decode import Clip
from gsv2.data.plan.plan import MicroBatchPlan
from gsv2.data.plan.window import LanePosition, PartPosition, Window
from gsv2.data.stream.batch import BadClip
from gsv2.data.stream.collate import CODE_PADDING, collate
from gsv2.data.stream.wave_buffer import WaveBuffer

POSITION = LanePosition(1, 3, 0, (PartPosition(0, 0, 0, 0.0),))
NO_ROWS = np.zeros(0, dtype=np.int64)
WINDOW = Window(POSITION, NO_ROWS, plan_batches=tuple, cut_following=lambda _: WINDOW)
PLANNED = MicroBatchPlan(
    micro_batch=7,
    lane=1,
    epoch=2,
    sequences=((0, 1), (2,)),
    passes=((0, 2), (1, 5)),
    packed_rows=(0, 3),
    tokens=100,
    padding=0.25,
    window=WINDOW,
)


def clip(row, samples, frames):
    return Clip(
        row=row,
        key=f"k{row}",
        shard="s",
        text="hi",
        language="en",
        speaker="ann",
        wave=np.full(samples, 0.5, dtype="float32"),
        codes=np.full((2, frames), row, dtype="uint16"),
    )


def test_clips_are_padded_to_the_longest_and_keep_their_sequence():
    batch = collate(PLANNED, [[clip(0, 5, 2), clip(1, 9, 4)], [clip(2, 7, 3)]])
    assert (batch.micro_batch, batch.epoch, batch.padding, batch.weight) == (7, 2, 0.25, 1.0)
    assert (batch.lane, batch.position) == (1, POSITION)
    assert (batch.mixture_parts, batch.epochs) == ((0, 0, 1), (2, 2, 5))
    assert (batch.packed_row, batch.num_packed_rows, batch.row_tokens) == (None, 0, 0)
    assert batch.wave.shape == (3, 1, 9)
    assert batch.wave.sum() == pytest.approx(0.5 * (5 + 9 + 7))
    assert batch.wave_lengths.tolist() == [5, 9, 7]
    assert batch.codes.shape == (3, 2, 4)
    assert batch.codes[0].tolist() == [[0, 0, CODE_PADDING, CODE_PADDING]] * 2
    assert batch.code_lengths.tolist() == [2, 4, 3]
    assert batch.sequence.tolist() == [0, 0, 1]


def test_a_sequence_that_lost_all_clips_leaves_no_hole():
    bad = (BadClip(key="k0", shard="s", reason="gone"),)
    batch = collate(PLANNED, [[], [clip(2, 7, 3)]], bad, num_packed_rows=8, row_tokens=50)
    assert batch.sequence.tolist() == [0]
    assert (batch.mixture_parts, batch.epochs) == ((1,), (5,))
    assert batch.packed_row.tolist() == [3], "a sequence keeps the row that was planned for it"
    assert (batch.num_packed_rows, batch.row_tokens) == (8, 50)
    assert batch.bad == bad


def test_waves_that_lie_in_the_buffer_are_not_copied():
    buffer = WaveBuffer([5, 9])
    clips = [clip(0, 5, 1), clip(1, 9, 1)]
    for place, made in enumerate(clips):
        buffer.clip(place)[:] = np.nan
        buffer.clip(place)[: len(made.wave)] = made.wave
    inside = [made._replace(wave=buffer.clip(p)[: len(made.wave)]) for p, made in enumerate(clips)]
    batch = collate(PLANNED, [inside, []], buffer=buffer)
    assert batch.wave.data_ptr() == buffer.clip(0).ctypes.data
    assert torch.equal(batch.wave, collate(PLANNED, [clips, []]).wave)


def test_codes_of_different_quantizers_do_not_mix():
    other = clip(1, 5, 2)._replace(codes=np.zeros((1, 2), dtype="uint16"))
    with pytest.raises(ValueError, match=r"have \[1, 2\] codebooks"):
        collate(PLANNED, [[clip(0, 5, 2)], [other]])


def test_no_clip_at_all_is_an_empty_batch_of_weight_0():
    batch = collate(PLANNED, [[], []])
    assert (batch.num_clips, batch.weight) == (0, 0.0)
    assert batch.sequence.dtype == torch.int64
    assert batch.wave is batch.codes is None
