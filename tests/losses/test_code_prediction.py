import pytest
import torch
from torch.nn import functional as F

from gsv2.losses.code_prediction import code_prediction_loss

V = 20
END = V


def predictions() -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    targets = [torch.tensor([3, 4, END, 5, END]), torch.tensor([1, 2, 3])]
    logits = [
        torch.randn(5, V + 1, generator=generator),
        torch.randn(3, V, generator=generator),
    ]
    return logits, targets


def test_loss_is_the_weighted_mean_per_frame_with_the_ends():
    logits, targets = predictions()
    sums = [F.cross_entropy(x, y, reduction="sum") for x, y in zip(logits, targets, strict=True)]
    loss, _ = code_prediction_loss(logits, targets, [3.0, 1.0], END)
    assert torch.allclose(loss, (3 * sums[0] + sums[1]) / 4 / 3)


def test_metrics_of_the_first_codebook_leave_the_ends_out():
    logits, targets = predictions()
    _, metrics = code_prediction_loss(logits, targets, [1.0, 1.0], END)
    frames = targets[0] != END
    assert torch.allclose(metrics["loss_0"], F.cross_entropy(logits[0][frames], targets[0][frames]))
    assert torch.allclose(
        metrics["loss_end"], F.cross_entropy(logits[0][~frames], targets[0][~frames])
    )
    assert torch.allclose(metrics["loss_1"], F.cross_entropy(logits[1], targets[1]))
    expected = metrics["loss_0"] + metrics["loss_1"] + metrics["loss_end"] * 2 / 3
    assert torch.allclose(metrics["nats_per_frame"], expected)


def test_accuracies_count_the_first_and_the_first_ten():
    logits = [torch.arange(21.0, 0, -1).repeat(4, 1)]
    targets = [torch.tensor([0, 9, 10, END])]
    _, metrics = code_prediction_loss(logits, targets, [1.0], END)
    assert metrics["top1_0"] == pytest.approx(1 / 3)
    assert metrics["top10_0"] == pytest.approx(2 / 3)
