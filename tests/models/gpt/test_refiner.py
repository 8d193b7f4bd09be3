import pytest
import torch

from gsv2.models.gpt.backbone import BackboneConfig
from gsv2.models.gpt.refiner import Refiner, align_right, prompt_lengths
from gsv2.nn.codes import NO_CODE, CodeConfig

V = 12
SIZES = BackboneConfig(dim=16, num_layers=2, num_heads=4, num_kv_heads=2, ffn_dim=24)
CODES = CodeConfig(levels=3, codebook_size=V, dim=8)


@pytest.fixture
def refiner():
    torch.manual_seed(0)
    made = Refiner(20, CODES, SIZES)
    made.set_codebooks(torch.randn(3, V, 8))
    for classifier in made.classifiers:
        torch.nn.init.normal_(classifier.query.weight)
    return made.eval()


def test_filled_codes_are_the_likeliest_of_the_passes_that_training_learns(refiner):
    hidden, codes, lengths = (
        torch.randn(2, 5, 20),
        torch.randint(V, (2, 3, 5)),
        torch.tensor([5, 3]),
    )
    prompts = align_right(torch.randint(V, (2, 3, 4)), torch.tensor([4, 2]))
    with torch.no_grad():
        filled = refiner.fill(hidden, codes, lengths, prompts)
        logits = refiner(hidden, filled, lengths, prompts)
    assert torch.equal(filled[:, 0], codes[:, 0])
    for k in (1, 2):
        for row, length in enumerate(lengths.tolist()):
            likeliest = logits[k - 1][row, :length].argmax(dim=1)
            assert torch.equal(filled[row, k, :length], likeliest)
            assert (filled[row, k, length:] == NO_CODE).all()


def test_a_clip_does_not_depend_on_the_lengths_of_others(refiner):
    hidden, codes = torch.randn(2, 6, 20), torch.randint(V, (2, 3, 6))
    lengths, spoken = torch.tensor([4, 6]), torch.tensor([2, 9])
    prompts = torch.randint(V, (2, 3, 9))
    with torch.no_grad():
        together = refiner(hidden, codes, lengths, align_right(prompts, spoken))
        alone = refiner(hidden[:1, :4], codes[:1, :, :4], lengths[:1],
                        align_right(prompts[:1, :, :2], spoken[:1]))  # fmt: skip
        without = refiner(hidden[:1, :4], codes[:1, :, :4], lengths[:1],
                          align_right(prompts[:1], spoken[:1] * 0))  # fmt: skip
    for a, b, c in zip(together, alone, without, strict=True):
        torch.testing.assert_close(a[:1, :4], b, atol=1e-5, rtol=1e-5)
        assert (b - c).abs().max() > 1e-3, "the prompt is heard"


def test_prompts_end_where_the_clip_begins_and_are_those_of_the_same_sequence():
    codes = torch.arange(6).view(1, 1, 6).expand(2, 2, 6)
    aligned = align_right(codes, torch.tensor([3, 0]))
    assert aligned[0, 0].tolist() == [0, 1, 2]
    assert (aligned[1] == NO_CODE).all()
    assert align_right(codes[:, :, :0], torch.tensor([0, 0])).shape == (2, 2, 1)
    lengths = torch.tensor([4, 5, 6, 7])
    assert prompt_lengths(lengths, torch.tensor([0, 0, 1, 1])).tolist() == [0, 4, 0, 6]
