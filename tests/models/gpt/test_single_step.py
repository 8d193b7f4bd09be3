"""One more input of each row, against transformers' own modules."""

import pytest
import torch

from gsv2.models.gpt.backbone import BackboneConfig, make_backbone
from gsv2.models.gpt.single_step import can_step, rotations, step_layers
from gsv2.nn.key_value_cache import KeyValueCache

TINY = BackboneConfig(dim=32, num_layers=2, num_heads=4, num_kv_heads=2, ffn_dim=48)


@pytest.fixture(scope="module")
def backbone():
    torch.manual_seed(0)
    made = make_backbone(TINY).eval()
    for parameter in made.parameters():  # norms too, which begin at 1
        torch.nn.init.normal_(parameter, std=0.3)
    return made


@torch.no_grad()
@pytest.mark.parametrize("num_kv_heads", [1, 2, 4])
def test_steps_give_the_outputs_of_one_pass(num_kv_heads):
    torch.manual_seed(0)
    model = make_backbone(
        BackboneConfig(dim=32, num_layers=3, num_heads=4, num_kv_heads=num_kv_heads, ffn_dim=48)
    ).eval()
    inputs = torch.randn(3, 9, 32)
    expected = model(inputs_embeds=inputs, use_cache=False).last_hidden_state
    cache, table = KeyValueCache(4), rotations(model, 9, inputs)
    for place in range(9):
        got = step_layers(model, inputs[:, place], table[:, place], cache)
        torch.testing.assert_close(got, expected[:, place], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_rows_may_be_at_different_positions_behind_padding(backbone):
    """A row whose first two places are padding is what it would be alone."""
    alone = torch.randn(1, 4, 32)
    expected = backbone(inputs_embeds=alone, use_cache=False).last_hidden_state[0]
    rows = torch.cat([torch.zeros(1, 2, 32), alone], dim=1).expand(2, -1, -1)
    cache, table = KeyValueCache(8), rotations(backbone, 6, rows)
    for place in range(6):
        positions = torch.tensor([max(place - 2, 0)] * 2)
        mask = torch.zeros(2, 1, 1, place + 1)
        mask[..., : min(2, place)] = -torch.inf
        rotation = table[:, positions][:, :, None, None]
        got = step_layers(backbone, rows[:, place], rotation, cache, mask)
        if place >= 2:
            torch.testing.assert_close(got[1], expected[place - 2], atol=1e-5, rtol=1e-4)


def test_what_its_modules_must_do_is_left_to_them(backbone):
    assert can_step(backbone)
    assert not can_step(make_backbone(TINY).train())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not can_step(backbone)
    adapted = make_backbone(TINY).eval()
    adapted.layers[0].self_attn.q_proj = torch.nn.Sequential(adapted.layers[0].self_attn.q_proj)
    assert not can_step(adapted)
