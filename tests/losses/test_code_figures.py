import pytest
import torch
from torch.nn import functional as F

from gsv2.losses.code_figures import clip_nats, count_ends

V = 6
END = V


def test_ends_are_counted_as_told_right_and_there():
    targets = torch.tensor([1, END, 2, END, 3])
    told = torch.tensor([1, END, END, 4, 3])
    counts = count_ends(F.one_hot(told, V + 1).float(), targets, END)
    assert counts == (2, 1, 2)


@pytest.mark.parametrize("frames", [[3, 1, 2], [1]])
def test_nats_of_clips_are_a_loop_over_their_codes(frames):
    torch.manual_seed(0)
    targets = [torch.randint(V, (sum(frames) + len(frames),)), torch.randint(V, (sum(frames),))]
    logits = [torch.randn(len(targets[0]), V + 1), torch.randn(len(targets[1]), V)]
    found = clip_nats(logits, targets, torch.tensor(frames))
    starts = [0, 0]
    for nats, T in zip(found.tolist(), frames, strict=True):
        expected = 0.0
        for k, count in enumerate((T + 1, T)):
            rows = slice(starts[k], starts[k] + count)
            expected += float(F.cross_entropy(logits[k][rows], targets[k][rows], reduction="sum"))
            starts[k] += count
        assert nats == pytest.approx(expected, rel=1e-5)
