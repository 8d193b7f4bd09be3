import pytest
import torch

from gsv2.models.gpt.backbone import BackboneConfig, make_backbone, make_document_mask

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


def test_a_token_sees_itself_and_the_earlier_ones_of_its_document():
    documents = torch.tensor([[0, 0, 1, 1, 1, -1, -1], [-1] * 7, [2] * 7])
    mask = make_document_mask(documents, torch.bfloat16)
    assert mask.shape == (3, 1, 7, 7)
    assert mask.dtype == torch.bfloat16
    for row, tokens in zip(mask[:, 0].tolist(), documents.tolist(), strict=True):
        for i, line in enumerate(row):
            for j, value in enumerate(line):
                is_seen = j <= i and tokens[j] == tokens[i]
                assert value == (0.0 if is_seen else -torch.inf)


def test_one_document_a_row_is_the_causal_mask_that_the_backbone_makes_itself():
    torch.manual_seed(0)
    backbone = make_backbone(TINY).eval()
    inputs = torch.randn(2, 6, 16)
    mask = make_document_mask(torch.tensor([[0] * 6, [1] * 6]), torch.float32)
    with torch.no_grad():
        alone = backbone(inputs_embeds=inputs).last_hidden_state
        masked = backbone(inputs_embeds=inputs, attention_mask=mask).last_hidden_state
    torch.testing.assert_close(masked, alone)


@pytest.mark.parametrize("num_heads", [5, 8])
def test_heads_that_do_not_divide_the_width_evenly_are_refused(num_heads):
    with pytest.raises(ValueError, match=r"num_heads must divide dim \(24\) into even parts"):
        BackboneConfig(dim=24, num_heads=num_heads, num_kv_heads=1)


def test_key_value_heads_that_do_not_divide_the_heads_are_refused():
    with pytest.raises(ValueError, match=r"num_kv_heads must divide num_heads \(4\), but is 3"):
        BackboneConfig(dim=32, num_heads=4, num_kv_heads=3)
