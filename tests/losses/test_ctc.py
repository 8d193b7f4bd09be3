from __future__ import annotations

from itertools import groupby, product

import pytest
import torch

from gsv2.losses.ctc import ctc_losses
from gsv2.models.aligner.characters import Vocabulary, column_log_probs, count_characters


def test_a_loss_is_that_of_all_paths_of_the_text() -> None:
    torch.manual_seed(0)
    log_probs = torch.randn(1, 5, 3).log_softmax(dim=-1)
    paths = [p for p in product(range(3), repeat=5) if [k for k, _ in groupby(p) if k] == [1, 1, 2]]
    total = torch.stack([log_probs[0, range(5), list(p)].sum() for p in paths]).logsumexp(0)
    arguments = torch.tensor([5]), torch.tensor([[1, 1, 2]]), torch.tensor([3])
    torch.testing.assert_close(
        ctc_losses(log_probs, *arguments, torch.tensor([True])), -total[None]
    )


def test_a_clip_that_cannot_be_aligned_has_neither_loss_nor_gradient() -> None:
    log_probs = torch.randn(2, 3, 4).log_softmax(dim=-1).requires_grad_()
    targets = torch.tensor([[1, 2, 0, 0], [1, 2, 3, 1]])
    lengths, is_valid = torch.tensor([3, 3]), torch.tensor([True, False])
    losses = ctc_losses(log_probs, lengths, targets, torch.tensor([2, 4]), is_valid)
    losses.sum().backward()
    assert log_probs.grad is not None
    assert float(losses[1].detach()) == 0
    assert log_probs.grad[0].any()
    assert not log_probs.grad[1].any()


@pytest.mark.parametrize("text", ["ab今a", "aab"])
def test_the_gradient_at_the_logits_is_that_of_finite_differences(text: str) -> None:
    """Torch's gradient of CTC assumes rows that sum to one: the column of the rest sees to it."""
    torch.manual_seed(0)
    vocabulary = Vocabulary(8)
    vocabulary.learn(count_characters([text]))
    encoded = vocabulary.encode([text])
    logits = torch.randn(1, 7, vocabulary.num_classes).requires_grad_()
    direction = torch.randn_like(logits) / logits.numel() ** 0.5

    def loss(at: torch.Tensor) -> torch.Tensor:
        columns = column_log_probs(at, encoded.classes)
        lengths, valid = torch.tensor([7]), torch.tensor([True])
        return ctc_losses(columns, lengths, encoded.targets, encoded.lengths, valid).sum()

    loss(logits).backward()
    assert logits.grad is not None
    epsilon = 0.3
    with torch.no_grad():
        ahead, behind = (float(loss(logits + s * epsilon * direction)) for s in (1, -1))
    expected = (ahead - behind) / (2 * epsilon)
    assert float((logits.grad * direction).sum()) == pytest.approx(expected, rel=2e-2, abs=1e-3)
