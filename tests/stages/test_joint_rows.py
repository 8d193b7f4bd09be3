"""Packed rows of a joint run: little padding at any mixture of lengths, and the same losses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from gsv2.stages import joint_rows
from gsv2.stages.gpt import GPTStage
from gsv2.stages.joint_rows import choose_rows, pack_rows
from tests.support import tiny_gpt
from tests.support.hand_made_batches import make_clips


def test_at_most_2_percent_is_empty_where_padding_to_the_longest_leaves_a_third() -> None:
    """Micro-batches of about 80 s in sequences of 1 to 4 clips, as base configs cut them."""
    random = np.random.default_rng(0)
    empty, padded = [], []
    for _ in range(50):
        lengths = [int(random.integers(1, 5)) * int(random.integers(80, 400)) for _ in range(9)]
        row_of, row_tokens = choose_rows(lengths)
        filled = np.bincount(row_of, weights=lengths)
        assert filled.max() <= row_tokens
        empty.append(1 - sum(lengths) / (len(filled) * row_tokens))
        padded.append(1 - sum(lengths) / (len(lengths) * max(lengths)))
    assert max(empty) <= 0.02
    assert np.mean(padded) > 0.33


def test_equal_sequences_have_a_row_each() -> None:
    assert choose_rows([64] * 5) == ([0, 1, 2, 3, 4], 64)
    assert choose_rows([30]) == ([0], 32)


@pytest.mark.parametrize(("most", "num_rows"), [(0.02, 1), (0.5, 2)])
def test_the_loss_of_packed_rows_is_that_of_padded_sequences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: float, num_rows: int
) -> None:
    monkeypatch.setattr(joint_rows, "MAX_PADDING", most)
    quantizer = tiny_gpt.save_quantizer(tmp_path / "quantizer.safetensors")
    torch.manual_seed(0)
    stage = GPTStage(tiny_gpt.make_config(quantizer), torch.device("cpu"))
    stage.model.eval()
    lengths = torch.tensor([5, 3, 9, 4, 6])
    codes = torch.randint(tiny_gpt.V, (5, 2, 9), generator=torch.Generator().manual_seed(0))
    codes[torch.arange(9).expand_as(codes) >= lengths[:, None, None]] = -1
    texts = ("one", "two words", "three", "a", "five of them")
    batch = make_clips((0, 0, 1, 2, 2), texts=texts, codes=codes, code_lengths=lengths)
    packed = pack_rows(batch, stage.tokens(batch).tolist())
    assert sorted(packed.texts) == sorted(texts)
    assert packed.packed_row is not None
    assert packed.packed_row.tolist() == sorted(packed.packed_row.tolist())
    (of_padded,), (of_packed,) = stage.updates(batch, 1), stage.updates(packed, 1)
    torch.testing.assert_close(of_packed.loss, of_padded.loss)
    assert packed.num_packed_rows == num_rows
