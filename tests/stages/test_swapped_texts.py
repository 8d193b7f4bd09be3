"""Texts that a batch's clips lend each other."""

from __future__ import annotations

import torch

from gsv2.stages.gpt import GPTStage
from gsv2.stages.swapped_texts import with_swapped_texts
from tests.support.hand_made_batches import no_clips
from tests.support.tiny_gpt import code_batch, make_config, save_quantizer


def test_each_clip_has_the_next_text_that_is_not_its_own():
    batch = code_batch([2, 2, 2, 2], [0, 1, 2, 3], texts=("a", "a", "bc", "a"))
    assert with_swapped_texts(batch).texts == ("bc", "bc", "a", "bc")
    wide = code_batch([2, 2, 2, 2], [0, 1, 2, 3], texts=("a", "b", "b", "c"))
    assert with_swapped_texts(wide, distance=2).texts == ("c", "a", "a", "b")
    assert with_swapped_texts(wide, distance=3).texts == wide.texts, "there is no third other text"
    alike = code_batch([2, 2], [0, 1], texts=("a", "a"))
    assert with_swapped_texts(alike).texts == ("a", "a")
    assert with_swapped_texts(no_clips()).texts == ()


def test_the_other_text_is_spread_over_the_frames_from_its_first_to_its_last_character():
    alignments = torch.tensor([[0, 0, 1, 2, -1], [0, 1, 2, 3, 4]])
    batch = code_batch([4, 5], [0, 0], texts=("abc", "hello"), alignments=alignments)
    swapped = with_swapped_texts(batch)
    assert swapped.alignments.tolist() == [[0, 0, 2, 4, -1], [0, 0, 1, 1, 2]]
    assert torch.equal(batch.alignments, alignments)


def test_packed_sequences_leave_their_rows():
    rows = {"packed_row": torch.tensor([0, 0]), "num_packed_rows": 1, "row_tokens": 10}
    swapped = with_swapped_texts(code_batch([2, 1], [0, 1], texts=("a", "long text"), **rows))
    assert swapped.packed_row is None
    assert (swapped.num_packed_rows, swapped.row_tokens) == (0, 0)


def test_the_gain_of_a_text_is_the_loss_that_another_one_costs(tmp_path):
    stage = GPTStage(make_config(save_quantizer(tmp_path / "q.safetensors")), torch.device("cpu"))
    batch = code_batch([3, 5], [0, 1], texts=("one", "two"))
    right = stage.validate(batch)
    wrong = stage.validate(with_swapped_texts(batch))
    gain = wrong["gpt/nats_per_frame"] - right["gpt/nats_per_frame"]
    torch.testing.assert_close(right["gpt/text_gain"], gain)
    torch.testing.assert_close(wrong["gpt/text_gain"], -gain)
    assert "gpt/text_gain" not in stage.validate(code_batch([3], [0], texts=("one",)))
