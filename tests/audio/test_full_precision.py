import torch

from gsv2.audio.full_precision import full_precision


def test_products_within_it_are_not_of_half_precision() -> None:
    x = torch.ones(2, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (x @ x).dtype == torch.bfloat16
        with full_precision(x.device):
            assert (x @ x).dtype == torch.float32
        assert (x @ x).dtype == torch.bfloat16


def test_shapes_without_numbers_pass() -> None:
    x = torch.ones(2, 2, device="meta")
    with full_precision(x.device):
        assert (x @ x).shape == (2, 2)
