import torch

from gsv2.losses.reconstruction import mel_distance, multi_mel_distance
from gsv2.nn.masks import length_mask


def test_without_a_mask_it_is_the_mean_absolute_difference() -> None:
    first, second = torch.randn(2, 3, 8, 5)
    torch.testing.assert_close(
        mel_distance(first, second), torch.nn.functional.l1_loss(first, second)
    )


def test_padding_does_not_count_and_clips_count_alike() -> None:
    predicted = torch.zeros(2, 4, 6)
    target = torch.full((2, 4, 6), 100.0)
    target[0] = 1.0
    target[1, :, :2] = 3.0
    mask = length_mask(torch.tensor([6, 2]), 6)
    assert mel_distance(predicted, target, mask).item() == 2.0


def test_several_resolutions_count_alike_whatever_their_sizes() -> None:
    predicted = [torch.zeros(2, 4, 30), torch.zeros(2, 16, 3)]
    target = [torch.full((2, 4, 30), 1.0), torch.full((2, 16, 3), 3.0)]
    assert multi_mel_distance(predicted, target).item() == 2.0
