import torch

from gsv2.models.interleave import interleave


def test_layout_equals_a_loop_over_tokens():
    text_lengths = torch.tensor([3, 1, 2, 4])
    step_lengths = torch.tensor([2, 0, 5, 1])
    sequence = torch.tensor([0, 1, 1, 2])
    layout = interleave(text_lengths, step_lengths, sequence)
    D = 1
    text = torch.arange(16.0).view(4, 4, D) + 100
    steps = torch.arange(20.0).view(4, 5, D) + 200
    placed = layout.place(torch.tensor([1.0]), text, torch.tensor([2.0]), steps)[:, :, 0]

    rows: list[list[float]] = [[], [], []]
    for clip, (s, p, q) in enumerate(zip(text_lengths, step_lengths, sequence, strict=True)):
        rows[int(q)] += [1.0, *text[clip, : int(s), 0].tolist()]
        rows[int(q)] += [2.0, *steps[clip, : int(p), 0].tolist()]
    assert layout.mask.sum(dim=1).tolist() == [len(row) for row in rows]
    for row, valid, expected in zip(placed, layout.mask, rows, strict=True):
        assert row[valid].tolist() == expected
        assert not row[~valid].any()


def test_a_step_is_predicted_from_the_position_before_it():
    layout = interleave(torch.tensor([2]), torch.tensor([3]), torch.tensor([0]))
    assert layout.predicts.tolist() == [[3, 4, 5, 6]]
    assert layout.steps.tolist() == [[4, 5, 6]]


def test_gradients_reach_every_placed_vector_once():
    layout = interleave(torch.tensor([1, 2]), torch.tensor([2, 1]), torch.tensor([0, 0]))
    text = torch.zeros(2, 2, 1, requires_grad=True)
    start = torch.zeros(1, requires_grad=True)
    layout.place(start, text, torch.zeros(1), torch.zeros(2, 2, 1)).sum().backward()
    assert text.grad is not None
    assert text.grad[:, :, 0].tolist() == [[1, 0], [1, 1]]
    assert start.grad is not None
    assert start.grad.tolist() == [2]
