import torch
from torch.nn import functional as F

from gsv2.losses.advance import advance_loss


def test_it_is_the_cross_entropy_of_a_frame_in_single_precision():
    torch.manual_seed(0)
    logits, targets = torch.randn(7, 3), torch.tensor([0, 1, 1, 0, 2, 1, 1])
    torch.testing.assert_close(advance_loss(logits, targets), F.cross_entropy(logits, targets))
    assert advance_loss(logits.bfloat16(), targets).dtype == torch.float32


def test_without_frames_it_is_nothing_and_has_a_gradient():
    logits = torch.zeros(0, 3, requires_grad=True)
    loss = advance_loss(logits, torch.zeros(0, dtype=torch.int64))
    loss.backward()
    assert float(loss.detach()) == 0
    assert logits.grad is not None
