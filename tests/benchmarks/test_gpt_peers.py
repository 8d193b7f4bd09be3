"""The peer of the GPT is measured beside it only as long as it computes the same."""

from __future__ import annotations

import pytest
import torch

from benchmarks.gpt_builds import in_turn
from benchmarks.gpt_peers import TransformersGPT, make_gpt, packed, padded
from benchmarks.gpt_step import draw_clips, our_loss, step_flops, token_counts
from gsv2.models.gpt.interleave import PackedRows


@pytest.mark.parametrize("form", [padded, packed])
def test_transformers_has_the_loss_and_the_gradients_of_ours(form) -> None:
    ours = make_gpt(layers=2, dim=64)
    clips = draw_clips((1.0, 4.0), tokens=400)
    assert len(clips.sequence) > 2
    theirs = TransformersGPT(ours)
    expected = our_loss(ours, clips, PackedRows(torch.zeros_like(clips.sequence), 1, 400))
    found = theirs(form(clips))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    expected.backward()
    found.backward()
    mine = dict(ours.backbone.named_parameters())
    for name, parameter in theirs.backbone.named_parameters():
        if name in mine:
            torch.testing.assert_close(parameter.grad, mine[name].grad, rtol=1e-3, atol=1e-5)


def test_operations_are_counted_of_real_tokens_alone() -> None:
    model = make_gpt(layers=2, dim=64)
    clips = draw_clips((1.0, 4.0), tokens=400)
    weights = sum(
        p.numel() for n, p in model.backbone.named_parameters() if "proj" in n and p.ndim == 2
    )
    least = 6 * weights * int(token_counts(clips).sum())
    assert least < step_flops(model, clips) < 2 * least


class _Fixed:
    def __init__(self, name: str, seconds: list[float], order: list[str]) -> None:
        self._name, self._seconds, self._order = name, seconds, order

    def ask(self, line: str) -> dict[str, float]:
        self._order.append(f"{self._name} {line}")
        return {"cpu_sec": self._seconds.pop(0)}


def test_builds_take_turns_and_each_begins_as_often() -> None:
    order: list[str] = []
    here = _Fixed("here", [1.0, 3.0, 5.0, 5.0], order)
    before = _Fixed("before", [2.0, 2.0, 8.0, 8.0], order)
    times = in_turn([here, before], ["a", "b"], rounds=2, repeats=2)
    assert times == [[2.0, 5.0], [2.0, 8.0]]
    assert order[:4] == ["before b", "here a"] * 2
    assert order[4:] == ["here a", "before b"] * 2
