import torch

from gsv2.models.vits2.segments import cut_segments, random_starts


def test_starts_cover_every_place_that_fits_and_no_other() -> None:
    torch.manual_seed(0)
    starts = random_starts(torch.tensor([10, 4, 2]).repeat_interleave(300), 4).view(3, 300)
    assert starts[0].unique().tolist() == list(range(7))
    assert starts[1].unique().tolist() == [0]
    assert starts[2].unique().tolist() == [0]


def test_segments_are_slices() -> None:
    x = torch.randn(2, 3, 10)
    cut = cut_segments(x, torch.tensor([0, 6]), 4)
    assert torch.equal(cut, torch.stack([x[0, :, :4], x[1, :, 6:]]))


def test_a_segment_longer_than_the_clip_ends_in_zeros() -> None:
    x = torch.randn(1, 2, 3)
    cut = cut_segments(x, torch.tensor([0]), 5)
    assert torch.equal(cut[..., :3], x)
    assert (cut[..., 3:] == 0).all()
