import pytest
import torch

from gsv2.nn.attention import SelfAttention, rotary_table, rotate
from gsv2.nn.masks import length_mask


def _attention(dim: int = 16, num_heads: int = 2) -> SelfAttention:
    torch.manual_seed(0)
    return SelfAttention(dim, num_heads, dropout=0.1).eval()


def test_rotary_scores_depend_on_the_distance_only() -> None:
    query, key = torch.randn(1, 8), torch.randn(1, 8)
    rotary = rotary_table(20, 8, torch.device("cpu"))
    queries = rotate(query.expand(20, 8), rotary)
    keys = rotate(key.expand(20, 8), rotary)
    scores = queries @ keys.T
    for distance in range(-5, 6):
        diagonal = scores.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), rtol=0, atol=1e-4)


def test_it_is_pytorchs_attention_apart_from_positions() -> None:
    attention = _attention()
    reference = torch.nn.MultiheadAttention(16, 2, batch_first=True).eval()
    reference.in_proj_weight.data.copy_(attention.in_proj.weight)
    reference.in_proj_bias.data.copy_(attention.in_proj.bias)
    reference.out_proj.load_state_dict(attention.out_proj.state_dict())
    x, mask = torch.randn(2, 7, 16), length_mask(torch.tensor([7, 4]), 7)
    no_rotation = torch.stack([torch.ones(7, 4), torch.zeros(7, 4)])
    expected, _ = reference(x, x, x, key_padding_mask=~mask)
    torch.testing.assert_close(attention(x, mask, no_rotation)[mask], expected[mask])


def test_padding_does_not_change_valid_positions() -> None:
    attention = _attention()
    x = torch.randn(1, 5, 16)
    short = attention(x, torch.ones(1, 5).bool(), rotary_table(5, 8, x.device))
    padded = torch.cat([x, torch.randn(1, 4, 16)], dim=1)
    mask = length_mask(torch.tensor([5]), 9)
    long = attention(padded, mask, rotary_table(9, 8, x.device))
    torch.testing.assert_close(long[:, :5], short)


def test_heads_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="must divide the attention's dim, but it is 18"):
        SelfAttention(18, 4, dropout=0.0)
