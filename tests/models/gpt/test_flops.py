import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from gsv2.losses.code_prediction import code_prediction_loss
from gsv2.models.gpt.backbone import BackboneConfig
from gsv2.models.gpt.flops import count_gpt_flops
from gsv2.models.gpt.interleave import NUM_STARTS
from gsv2.models.gpt.model import GPTConfig, GPTInputs, SemanticGPT
from gsv2.nn.codes import CodeConfig

T = 9
TEXT = "hello"
SIZES = BackboneConfig(dim=32, num_layers=2, num_heads=4, num_kv_heads=2, ffn_dim=48)


def make_model(pattern, audio_input="vq"):
    codes = CodeConfig(codebook_size=16, dim=8)
    config = GPTConfig(
        backbone=SIZES, depth=SIZES, pattern=pattern, audio_input=audio_input, codes=codes
    )
    model = SemanticGPT(config)
    model.set_codebooks(torch.randn(2, 16, 8))
    return model


def count(model, num_clips=1):
    """Return what the count says of a sequence of equal clips."""
    lengths = torch.full((num_clips,), T)
    inputs = model.pattern.num_code_steps(lengths)
    return count_gpt_flops(model).total(
        (NUM_STARTS + len(TEXT) + inputs).sum()[None],
        int(inputs.sum()),
        int(model.pattern.num_steps(lengths).sum()),
        [(T + 1) * num_clips, T * num_clips],
    )


@pytest.mark.parametrize("audio_input", ["vq", "learned"])
@pytest.mark.parametrize("pattern", ["depth", "delay", "flatten", "parallel"])
def test_matrix_products_are_those_that_torch_counts(pattern, audio_input):
    """Torch counts no attention on a CPU, so ours is taken away: by hand, pairs and layers."""
    model = make_model(pattern, audio_input)
    tokens = model.text_encoder.tokenize([TEXT])
    codes, lengths = torch.randint(16, (1, 2, T)), torch.tensor([T])
    with FlopCounterMode(display=False) as counter:
        output = model(GPTInputs(*tokens, codes, lengths, torch.zeros(1, dtype=torch.int64)))
        code_prediction_loss(output.logits, output.targets, [1.0, 1.0], model.end).loss.backward()
    num_tokens = NUM_STARTS + len(TEXT) + int(model.pattern.num_code_steps(lengths))
    pairs = num_tokens * (num_tokens + 1) // 2
    if pattern == "depth":
        pairs += T * 3 + 1  # 2 codes and a context: 1 + 2 pairs at each frame, 1 at the end
    attention = 12 * SIZES.dim * SIZES.num_layers * pairs
    assert count(model) - attention == counter.get_total_flops()


def test_a_large_backbone_costs_six_operations_a_weight_and_token():
    model = make_model("parallel")
    weights = sum(p.numel() for p in model.backbone.parameters() if p.dim() == 2)
    assert count_gpt_flops(model).token == 6 * weights


def test_attention_grows_with_the_square_of_a_sequence_and_all_else_with_its_length():
    model = make_model("delay")
    tokens = NUM_STARTS + len(TEXT) + T + 1
    more = 12 * SIZES.dim * SIZES.num_layers * tokens * tokens  # pairs across the two clips
    assert count(model, 2) == 2 * count(model) + more


def test_passes_of_a_refiner_are_those_that_torch_counts():
    model = make_model("nar")
    tokens = model.text_encoder.tokenize([TEXT] * 2)
    codes, lengths = torch.randint(16, (2, 2, T)), torch.tensor([T, T])
    with FlopCounterMode(display=False) as counter:
        output = model(GPTInputs(*tokens, codes, lengths, torch.tensor([0, 0])))
        code_prediction_loss(output.logits, output.targets, [1.0, 1.0], model.end).loss.backward()
    costs = count_gpt_flops(model)
    num_tokens = 2 * (NUM_STARTS + len(TEXT) + T)
    total = costs.total(torch.tensor([num_tokens]), 2 * T, 2 * (T + 1), [2 * (T + 1), 2 * T])
    total += costs.refined(lengths, torch.tensor([0, T]))
    per_pair = 12 * SIZES.dim * SIZES.num_layers
    attention = per_pair * (num_tokens * (num_tokens + 1) // 2 + T * T + (2 * T) ** 2)
    padding = T * costs.refiner.prompt_frame  # the first clip's prompt, as long as the second's
    assert total - attention + padding == counter.get_total_flops()
