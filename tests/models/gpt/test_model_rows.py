"""Sequences packed into rows, and losses on some of the clips."""

import random
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from gsv2.losses.code_prediction import code_prediction_loss
from gsv2.models.gpt.interleave import PackedRows
from gsv2.models.gpt.model import GPTInputs, SemanticGPT
from tests.models.gpt.test_model import NAMES, V, make_clips, make_gpt

L = 64
WEIGHTS = [2.0, 1.0, 1.0]


class Case(NamedTuple):
    """Clips and where their sequences are packed."""

    clips: list[Tensor]
    sequence: Tensor
    rows: PackedRows

    @property
    def inputs(self) -> GPTInputs:
        return GPTInputs(*self.clips, self.sequence)

    def loss(self, model: SemanticGPT, *, packed: bool) -> Tensor:
        output = model(self.inputs, self.rows if packed else None)
        return code_prediction_loss(output.logits, output.targets, WEIGHTS, model.end).loss


def draw_case(model: SemanticGPT, seed: int) -> Case:
    """Return up to 4 sequences of up to 3 clips in 3 rows, one of which is empty."""
    rng = random.Random(seed)
    sequence = [q for q in range(rng.randint(1, 4)) for _ in range(rng.randint(1, 3))]
    texts = ["".join(rng.choices("abcдe", k=rng.randint(1, 6))) for _ in sequence]
    clips = make_clips(model, texts, [rng.randint(1, 9) for _ in sequence])
    used = rng.sample(range(3), 2)
    row_of = sorted(rng.choice(used) for _ in range(sequence[-1] + 1))
    row = torch.tensor([row_of[q] for q in sequence])
    return Case(clips, torch.tensor(sequence), PackedRows(row, num_rows=3, row_tokens=6 * L))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(3))
def test_packed_logits_loss_and_gradients_equal_the_unpacked_ones(name, seed):
    model = make_gpt(name, 3)
    case = draw_case(model, seed)
    unpacked, packed = model(case.inputs), model(case.inputs, case.rows)
    for a, b in zip(
        unpacked.logits + unpacked.targets, packed.logits + packed.targets, strict=True
    ):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
    case.loss(model, packed=False).backward()
    expected = {key: value.grad.clone() for key, value in model.named_parameters()}
    model.zero_grad()
    case.loss(model, packed=True).backward()
    for key, value in model.named_parameters():
        torch.testing.assert_close(value.grad, expected[key], atol=1e-5, rtol=1e-4, msg=key)


def four_sequences(model: SemanticGPT) -> Case:
    """Return sequences of 1, 2, 1 and 1 clips, the first three of them in one row."""
    clips = make_clips(model, ["ab", "c", "defg", "hi", "j"], [3, 5, 2, 6, 4])
    row = torch.tensor([0, 0, 0, 0, 1])
    return Case(clips, torch.tensor([0, 1, 1, 2, 3]), PackedRows(row, num_rows=3, row_tokens=L))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_a_sequence_reaches_another_one_of_its_row(name):
    model = make_gpt(name, 2).eval()
    case = four_sequences(model)
    sequence = case.sequence.tolist()
    ids, text_lengths, codes, code_lengths = case.clips
    with torch.no_grad():
        before = by_sequence(model, case)
        for changed in range(4):
            clips = case.sequence == changed
            other = [
                torch.where(clips[:, None], (ids + 1).clamp(max=255), ids),
                text_lengths,
                torch.where(clips[:, None, None] & (codes >= 0), (codes + 1) % V, codes),
                code_lengths,
            ]
            after = by_sequence(model, case._replace(clips=other))
            same = [torch.equal(a, b) for a, b in zip(before, after, strict=True)]
            assert same == [q != changed for q in sorted(set(sequence))]


def by_sequence(model: SemanticGPT, case: Case) -> list[Tensor]:
    """Return the logits of codebook 0, sequence by sequence."""
    logits = model(case.inputs, case.rows).logits[0]
    counts = torch.zeros(4, dtype=torch.int64).index_add(0, case.sequence, case.clips[3] + 1)
    return list(logits.split(counts.tolist()))


def test_the_same_sequence_twice_in_a_row_gives_the_same_twice():
    model = make_gpt().eval()
    clips = make_clips(model, ["abc", "abc"], [4, 4])
    clips[2][1] = clips[2][0]
    rows = PackedRows(torch.tensor([0, 0]), num_rows=1, row_tokens=L)
    positions = []
    model.backbone.register_forward_pre_hook(
        lambda _, args, kwargs: positions.extend(kwargs["position_ids"].tolist()), with_kwargs=True
    )
    with torch.no_grad():
        output = model(GPTInputs(*clips, torch.tensor([0, 1])), rows)
    for logits in output.logits:
        first, second = logits.chunk(2)
        torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-5)
    assert positions == [[*range(9), *range(9), *(0,) * (L - 18)]]


def test_the_shape_of_the_backbones_inputs_is_that_of_the_rows():
    model = make_gpt()
    shapes = []
    model.backbone.register_forward_pre_hook(
        lambda _, args, kwargs: shapes.append(tuple(kwargs["inputs_embeds"].shape)),
        with_kwargs=True,
    )
    for seed in range(5):
        case = draw_case(model, seed)
        model(case.inputs, case.rows)
    assert set(shapes) == {(1, 3 * 6 * L, 32)}


def test_nothing_of_all_pairs_of_a_row_is_kept_for_the_backward_pass():
    model = make_gpt()
    case = four_sequences(model)
    kept = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tuple(tensor.shape))
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(case.inputs, case.rows)
    assert kept
    assert not [shape for shape in kept if len(shape) > 1 and min(shape[-2:]) >= L]


def test_rows_may_be_computed_in_bfloat16():
    model = make_gpt("depth", 3)
    case = four_sequences(model)
    expected = case.loss(model, packed=True)
    with torch.autocast("cpu", torch.bfloat16):
        loss = case.loss(model, packed=True)
    loss.backward()
    torch.testing.assert_close(loss, expected, atol=0.02, rtol=0.02)
    assert all(torch.isfinite(value.grad).all() for value in model.parameters())


def test_sequences_that_do_not_fit_their_row_are_an_error():
    model = make_gpt()
    case = four_sequences(model)
    rows = case.rows._replace(row_tokens=30)  # need 2 * 4 starts + 9 bytes of text + 16 codes
    with pytest.raises(ValueError, match=r"data\.row_tokens \(30\), but need 33"):
        model(case.inputs, rows)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("packed", [False, True])
def test_predicting_some_clips_gives_what_predicting_all_gives_for_them(name, packed):
    model = make_gpt(name, 2).eval()
    case = four_sequences(model)
    rows = case.rows if packed else None
    is_target = torch.tensor([True, False, True, False, True])
    with torch.no_grad():
        some = model(case.inputs, rows, is_target)
        everything = model(case.inputs, rows)
    for k, (logits, targets) in enumerate(zip(some.logits, some.targets, strict=True)):
        chosen = is_target.repeat_interleave(case.clips[3] + (k == 0))
        assert torch.equal(targets, everything.targets[k][chosen])
        torch.testing.assert_close(logits, everything.logits[k][chosen], atol=1e-5, rtol=1e-5)
