import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from gsv2.data.stream.wave_buffer import WaveBuffer, WaveBufferPool


def wave(value, length):
    return np.full(length, value, dtype=np.float32)


def fill(buffer, place, value, length):
    row = buffer.clip(place)[:length]
    row[:] = value
    return row


def padded(*waves):
    expected = torch.zeros(len(waves), 1, max(map(len, waves)))
    for row, one in zip(expected, waves, strict=True):
        row[0, : len(one)] = torch.from_numpy(one)
    return expected


def test_rows_in_their_order_are_padded_where_they_lie():
    buffer = WaveBuffer([3, 6, 4])
    inside = [fill(buffer, place, 1.0 + place, n) for place, n in enumerate((3, 6, 4))]
    stacked, lengths = buffer.stack(inside)
    assert torch.equal(stacked, padded(wave(1, 3), wave(2, 6), wave(3, 4)))
    assert lengths.tolist() == [3, 6, 4]
    assert stacked.data_ptr() == buffer.clip(0).ctypes.data
    assert stacked.is_contiguous()


@pytest.mark.parametrize("kept", [[0, 1], [1, 2], [0, 2], [2], [2, 1, 0]])
def test_a_clip_that_is_missing_moves_the_others_up(kept):
    buffer = WaveBuffer([3, 6, 4])
    rows = [fill(buffer, place, 1.0 + place, n) for place, n in enumerate((3, 6, 4))]
    expected = padded(*(rows[place].copy() for place in kept))
    stacked, lengths = buffer.stack([rows[place] for place in kept])
    assert torch.equal(stacked, expected)
    assert lengths.tolist() == [len(rows[place]) for place in kept]


def test_a_wave_that_did_not_fit_its_row_is_copied():
    """As one that was resampled, or that is longer than the index says."""
    buffer = WaveBuffer([3, 6])
    for other in (wave(2, 6), wave(2, 8), wave(2, 2)):
        stacked, _ = buffer.stack([fill(buffer, 0, 1.0, 3), other])
        assert torch.equal(stacked, padded(wave(1, 3), other))


def test_memory_comes_back_only_when_nobody_holds_it():
    pool = WaveBufferPool()
    first, _ = (buffer := WaveBuffer([3, 3], pool)).stack([fill(buffer, p, 1.0, 3) for p in (0, 1)])
    del buffer
    second, _ = (buffer := WaveBuffer([3, 3], pool)).stack(
        [fill(buffer, p, 2.0, 3) for p in (0, 1)]
    )
    del buffer
    assert (first == 1).all(), "the first is still held"
    place, view = first.data_ptr(), first[1:]
    del first
    assert WaveBuffer([2], pool).clip(0).ctypes.data != place, "a view of it is still held"
    del view
    assert WaveBuffer([2], pool).clip(0).ctypes.data == place
    assert (second == 2).all()


class Slabs(torch.utils.data.IterableDataset):
    def __iter__(self):
        for size in (5, 2_000_000):
            buffer = WaveBuffer([size, size])
            yield buffer.stack([fill(buffer, place, 1.0 + place, size) for place in range(2)])[0]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_worker_hands_over_the_memory_that_it_decoded_into(workers):
    small, large = DataLoader(Slabs(), batch_size=None, num_workers=workers)
    assert small.is_shared() == bool(workers)
    assert torch.equal(small, padded(wave(1, 5), wave(2, 5)))
    assert torch.equal(large[:, 0, ::99_999], torch.tensor([[1.0], [2.0]]).expand(2, 21))
