from pathlib import Path

import pytest
import torch

from gsv2.text.encoders.vector_input import VectorInput
from gsv2.text.encoders.xlm_roberta import XlmRoberta
from tests.support.tiny_text_encoder import DIM, save_text_encoder


def test_an_attached_encoder_is_no_part_of_the_network(tmp_path: Path) -> None:
    part = VectorInput(DIM, 8)
    before = set(part.state_dict())
    with pytest.raises(ValueError, match="none is attached"):
        part.tokenize(["a"])
    part.attach(XlmRoberta(save_text_encoder(tmp_path)))
    assert set(part.state_dict()) == before == {"projection.weight", "projection.bias"}
    tokens = part.tokenize(["The red train", "今天"])
    assert tokens.ids.shape == (2, int(tokens.lengths.max()), DIM)
    assert not tokens.ids[1, int(tokens.lengths[1]) :].any()
    other = VectorInput(DIM, 8)
    other.share(part)
    shared = other.tokenize(["今天"]).ids[0]
    torch.testing.assert_close(shared, tokens.ids[1, : len(shared)], rtol=0, atol=1e-5)


def test_vectors_are_projected_and_equal_sizes_pass_through() -> None:
    vectors = torch.randn(2, 3, DIM, dtype=torch.float16)
    assert VectorInput(DIM, 8)(vectors).shape == (2, 3, 8)
    assert torch.equal(VectorInput(DIM, DIM)(vectors), vectors.float())
    assert not list(VectorInput(DIM, DIM).parameters())
