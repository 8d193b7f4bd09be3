import random
from itertools import pairwise

import pytest
import torch

from gsv2.models.gpt.interleave import PackedRows, interleave


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


def loop_over_tokens(
    texts: list[int], steps: list[int], sequence: list[int], row: list[int], shape: tuple[int, int]
) -> tuple[list[list[int]], list[list[int]]]:
    """Return the documents and positions of a packed grid, token by token."""
    R, L = shape
    documents: list[list[int]] = [[] for _ in range(R)]
    positions: list[list[int]] = [[] for _ in range(R)]
    for text, step, document, r in zip(texts, steps, sequence, row, strict=True):
        for _ in range(2 + text + step):
            positions[r].append(documents[r].count(document))
            documents[r].append(document)
    for r in range(R):
        padding = L - len(documents[r])
        documents[r] += [-1] * padding
        positions[r] += [0] * padding
    return documents, positions


@pytest.mark.parametrize("seed", range(20))
def test_packed_documents_and_positions_equal_a_loop_over_tokens(seed):
    rng = random.Random(seed)
    C, R, L = rng.randint(1, 8), rng.randint(1, 4), 8 * 12
    texts, steps = ([rng.randint(least, 5) for _ in range(C)] for least in (1, 0))
    sequence = [0]
    for _ in range(C - 1):
        sequence.append(sequence[-1] + rng.randint(0, 1))
    row_of = sorted(rng.randrange(R) for _ in range(sequence[-1] + 1))  # some rows stay empty
    row = [row_of[document] for document in sequence]
    layout = interleave(
        torch.tensor(texts),
        torch.tensor(steps),
        torch.tensor(sequence),
        PackedRows(torch.tensor(row), R, L),
    )
    documents, positions = loop_over_tokens(texts, steps, sequence, row, (R, L))
    flat = [number for line in documents for number in line]
    places = layout.documents.bounds.tolist()
    assert (places[0], places[-1]) == (0, R * L)
    for start, stop in pairwise(places):
        assert len(set(flat[start:stop])) <= 1
    found = {(flat[a], a // L) for a, b in pairwise(places) if b > a}
    assert len(found) == sum(b > a for a, b in pairwise(places)), "no document is cut in two"
    assert layout.documents.is_valid.tolist() == [number >= 0 for number in flat]
    assert layout.documents.longest == L
    assert layout.positions.tolist() == positions
    assert layout.mask.tolist() == [[document >= 0 for document in line] for line in documents]


def test_a_row_may_be_full_to_the_last_token_but_no_further():
    clips = torch.tensor([2, 1]), torch.tensor([3, 2]), torch.tensor([0, 1])
    together = torch.tensor([1, 1])
    layout = interleave(*clips, PackedRows(together, 2, row_tokens=12))
    assert layout.mask.sum(dim=1).tolist() == [0, 12]
    with pytest.raises(ValueError, match=r"data\.row_tokens \(11\), but need 12.*clip_overhead"):
        interleave(*clips, PackedRows(together, 2, row_tokens=11))


def test_sequences_that_have_a_row_each_are_laid_out_as_unpacked_ones():
    clips = torch.tensor([2, 1, 4]), torch.tensor([3, 2, 1]), torch.tensor([0, 0, 1])
    unpacked = interleave(*clips)
    assert unpacked.mask.shape == (2, 12)
    for a, b in zip(
        unpacked, interleave(*clips, PackedRows(clips[2], 2, row_tokens=12)), strict=True
    ):
        assert torch.equal(a, b)
