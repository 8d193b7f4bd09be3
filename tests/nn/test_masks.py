import torch

from gsv2.nn.masks import length_mask


def test_positions_below_the_length_are_valid() -> None:
    mask = length_mask(torch.tensor([0, 2, 3]), 3)
    assert mask.dtype == torch.bool
    assert mask.tolist() == [[False, False, False], [True, True, False], [True, True, True]]
