import pytest
import torch

from gsv2.models.gpt.backbone import BackboneConfig, make_backbone, run_rows
from gsv2.nn.documents import Documents

TINY = BackboneConfig(dim=16, num_layers=2, num_heads=4, num_kv_heads=2, ffn_dim=24)


def test_there_is_no_token_embedding():
    names = [name for name, _ in make_backbone(TINY).named_parameters()]
    assert not any("embed" in name for name in names)


def test_an_output_sees_its_own_and_earlier_inputs_only():
    torch.manual_seed(0)
    backbone = make_backbone(TINY).eval()
    inputs = torch.randn(1, 6, 16)
    changed = inputs.clone()
    changed[0, 3] += 1
    with torch.no_grad():
        before = backbone(inputs_embeds=inputs).last_hidden_state[0]
        after = backbone(inputs_embeds=changed).last_hidden_state[0]
    same = [torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    assert same == [True, True, True, False, False, False]


def test_rows_of_documents_are_what_the_backbone_makes_of_each_alone():
    torch.manual_seed(0)
    backbone = make_backbone(TINY).eval()
    sizes, inputs = (2, 4, 3, 5), torch.randn(2, 8, 16)  # a row of 6 tokens, one of 8
    bounds = torch.tensor([0, 2, 6, 8, 11, 16], dtype=torch.int32)
    valid = torch.ones(16, dtype=torch.bool)
    valid[6:8] = False
    positions = torch.tensor([[0, 1, 0, 1, 2, 3, 0, 0], [0, 1, 2, 0, 1, 2, 3, 4]])
    with torch.no_grad():
        rows = run_rows(backbone, inputs, Documents(bounds, valid, 8), positions)
        for part, found in zip(
            inputs.flatten(0, 1)[valid].split(sizes), rows.flatten(0, 1)[valid].split(sizes),
            strict=True,
        ):  # fmt: skip
            alone = backbone(inputs_embeds=part[None]).last_hidden_state[0]
            torch.testing.assert_close(found, alone, atol=1e-5, rtol=1e-5)


def test_no_mask_of_all_pairs_is_made():
    backbone = make_backbone(TINY)
    T = 60_000  # a mask of as many squared would take 3.6 GB
    bounds = torch.arange(0, T + 1, 100, dtype=torch.int32)
    documents = Documents(bounds, torch.ones(T, dtype=torch.bool), T)
    positions = torch.arange(T)[None] % 100
    with torch.no_grad():
        backbone.layers = backbone.layers[:1]
        backbone.config.num_hidden_layers = 1
        outputs = run_rows(backbone, torch.zeros(1, T, 16), documents, positions)
    assert outputs.shape == (1, T, 16)


@pytest.mark.parametrize("num_heads", [5, 8])
def test_heads_that_do_not_divide_the_width_evenly_are_refused(num_heads):
    with pytest.raises(ValueError, match=r"num_heads must divide dim \(24\) into even parts"):
        BackboneConfig(dim=24, num_heads=num_heads, num_kv_heads=1)


def test_key_value_heads_that_do_not_divide_the_heads_are_refused():
    with pytest.raises(ValueError, match=r"num_kv_heads must divide num_heads \(4\), but is 3"):
        BackboneConfig(dim=32, num_heads=4, num_kv_heads=3)
