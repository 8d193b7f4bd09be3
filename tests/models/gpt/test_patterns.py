import pytest
import torch

from gsv2.models.gpt.patterns import make_pattern
from gsv2.nn.codes import NO_CODE

NAMES = ["depth", "parallel", "delay", "flatten", "nar"]
END = 100


def random_codes(lengths: list[int], num_codebooks: int) -> torch.Tensor:
    codes = torch.randint(END, (len(lengths), num_codebooks, max(lengths)))
    for row, length in zip(codes, lengths, strict=True):
        row[:, length:] = NO_CODE
    return codes


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("num_codebooks", [1, 2, 4, 8])
@pytest.mark.parametrize("lengths", [[1], [0, 3], [7, 1, 12], [30, 0]])
def test_codes_to_steps_to_codes_is_exact(name, num_codebooks, lengths):
    pattern = make_pattern(name, num_codebooks)
    codes = random_codes(lengths, num_codebooks)
    steps = pattern.to_steps(codes, torch.tensor(lengths), END)
    assert torch.equal(pattern.to_codes(steps, torch.tensor(lengths)), codes)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("num_codebooks", [1, 2, 4])
def test_steps_hold_every_code_once_and_one_end_a_clip(name, num_codebooks):
    lengths = torch.tensor([5, 0, 2])
    pattern = make_pattern(name, num_codebooks)
    steps = pattern.to_steps(random_codes(lengths.tolist(), num_codebooks), lengths, END)
    there = (steps != NO_CODE).sum(dim=(1, 2))
    assert torch.equal(there, lengths * num_codebooks + 1)
    assert torch.equal((steps == END).sum(dim=(1, 2)), torch.ones(3, dtype=torch.int64))
    assert not (steps[:, 1:] == END).any()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("num_codebooks", [1, 2, 3, 5])
def test_the_number_of_steps_reaches_the_last_code_and_no_further(name, num_codebooks):
    pattern = make_pattern(name, num_codebooks)
    for length in range(6):
        lengths = torch.tensor([length])
        codes = torch.zeros(1, num_codebooks, length, dtype=torch.int64)
        steps = pattern.to_steps(codes, lengths, END)
        assert steps.shape[2] == int(pattern.num_steps(lengths))
        assert (steps[0, :, -1] != NO_CODE).any()


def test_delay_shifts_each_codebook_by_one_more_step():
    codes = torch.tensor([[[1, 2, 3], [4, 5, 6], [7, 8, 9]]])
    steps = make_pattern("delay", 3).to_steps(codes, torch.tensor([3]), END)
    assert steps[0].tolist() == [
        [1, 2, 3, END, NO_CODE],
        [NO_CODE, 4, 5, 6, NO_CODE],
        [NO_CODE, NO_CODE, 7, 8, 9],
    ]


def test_flatten_has_one_code_a_step():
    codes = torch.tensor([[[1, 2], [3, 4]]])
    steps = make_pattern("flatten", 2).to_steps(codes, torch.tensor([2]), END)
    assert steps[0].tolist() == [[1, NO_CODE, 2, NO_CODE, END], [NO_CODE, 3, NO_CODE, 4, NO_CODE]]


@pytest.mark.parametrize("name", NAMES)
def test_the_frames_of_one_step_are_those_among_many(name):
    pattern = make_pattern(name, 4)
    frames = pattern.frames_at(torch.arange(20))
    assert [pattern.frames_of(step) for step in range(20)] == frames.T.tolist()
