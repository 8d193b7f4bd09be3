"""Attention inside documents; the reference is a dense mask of all pairs, as torch applies it."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from gsv2.nn.document_attention import attend_documents
from gsv2.nn.documents import Documents

E = 8


def dense(query: Tensor, key: Tensor, value: Tensor, documents: list[int]) -> Tensor:
    """Attend by a mask [T, T] of tokens whose documents are given, -1 at padding."""
    numbers = torch.tensor(documents)
    mask = (numbers[:, None] == numbers[None, :]).tril()
    groups = len(query) // len(key)
    key, value = (x.repeat_interleave(groups, dim=0) for x in (key, value))
    found = F.scaled_dot_product_attention(
        query[None], key[None], value[None], attn_mask=mask, scale=0.3
    )
    return found[0]


def draw(seed: int) -> tuple[list[int], Documents]:
    """Return documents of tokens of 2 rows with padding, among them empty ones."""
    rng = random.Random(seed)
    numbers: list[int] = []
    bounds, row_tokens = [0], 24
    for row in range(2):
        while (left := (row + 1) * row_tokens - len(numbers)) > 8:
            numbers += [len(bounds)] * rng.randint(0, min(9, left))
            bounds.append(len(numbers))
        numbers += [-1 - row] * ((row + 1) * row_tokens - len(numbers))
        bounds.append(len(numbers))
    is_valid = torch.tensor([number >= 0 for number in numbers])
    return numbers, Documents(torch.tensor(bounds, dtype=torch.int32), is_valid, row_tokens)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("num_kv_heads", [1, 4])
def test_outputs_and_gradients_are_those_of_a_dense_mask(seed, num_kv_heads):
    torch.manual_seed(seed)
    numbers, documents = draw(seed)
    T, valid = len(numbers), documents.is_valid
    inputs = [torch.randn(heads, T, E) for heads in (4, num_kv_heads, num_kv_heads)]
    wanted = torch.randn(4, int(valid.sum()), E)
    found, expected = [], []
    for into, attend in (
        (found, lambda q, k, v: attend_documents(q, k, v, documents, 0.3, 0.0)),
        (expected, lambda q, k, v: dense(q, k, v, numbers)),
    ):
        leaves = [x.clone().requires_grad_() for x in inputs]
        mixed = attend(*leaves)[:, valid]
        (mixed * wanted).sum().backward()
        into += [mixed.detach(), *(leaf.grad for leaf in leaves)]
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_padding_is_finite_and_reaches_nobody():
    _, documents = draw(0)
    query, key, value = (torch.randn(2, 48, E) for _ in range(3))
    before = attend_documents(query, key, value, documents, 1.0, 0.0)
    assert before.isfinite().all()
    key[:, ~documents.is_valid] = torch.nan
    after = attend_documents(query, key, value, documents, 1.0, 0.0)
    assert torch.equal(before[:, documents.is_valid], after[:, documents.is_valid])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_one_kernel_on_a_gpu_gives_what_documents_in_turn_do():
    numbers, documents = draw(0)
    valid = documents.is_valid
    inputs = [torch.randn(heads, len(numbers), 64) for heads in (4, 2, 2)]
    on_gpu = Documents(documents.bounds.cuda(), valid.cuda(), documents.longest)
    halves = [x.cuda().bfloat16().requires_grad_() for x in inputs]
    found = attend_documents(*halves, on_gpu, 0.3, 0.0)[:, valid]
    found.float().square().sum().backward()
    leaves = [x.bfloat16().float().requires_grad_() for x in inputs]
    expected = attend_documents(*leaves, documents, 0.3, 0.0)[:, valid]
    expected.square().sum().backward()
    torch.testing.assert_close(found.float().cpu(), expected, atol=2e-2, rtol=2e-2)
    for a, b in zip(halves, leaves, strict=True):
        torch.testing.assert_close(a.grad.float().cpu(), b.grad, atol=1e-1, rtol=1e-1)
