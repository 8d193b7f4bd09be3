import torch

from gsv2.nn.gated_convolution import GatedConvolution


def test_what_stands_in_the_padding_is_never_seen():
    torch.manual_seed(0)
    block = GatedConvolution(8, 5, 0.0)
    hidden, mask = torch.randn(2, 9, 8), torch.ones(2, 9, dtype=torch.bool)
    mask[0, 6:] = False
    changed = hidden.clone()
    changed[0, 6:] = 100.0
    before, after = block(hidden, mask), block(changed, mask)
    assert torch.equal(before[0, :6], after[0, :6])
    alone = block(hidden[:1, :6], mask[:1, :6])
    torch.testing.assert_close(before[:1, :6], alone)


def test_a_frame_sees_half_a_kernel_to_each_side():
    torch.manual_seed(0)
    block, hidden = GatedConvolution(8, 5, 0.0), torch.randn(1, 11, 8)
    changed = hidden.clone()
    changed[0, 5] = torch.randn(8)  # not a constant more, which layer norm takes away
    mask = torch.ones(1, 11, dtype=torch.bool)
    differs = (block(hidden, mask) != block(changed, mask)).any(dim=2)[0]
    assert differs.nonzero().flatten().tolist() == [3, 4, 5, 6, 7]


def test_a_block_whose_gate_is_shut_hands_its_input_on():
    block, hidden = GatedConvolution(4, 3, 0.0), torch.randn(1, 5, 4)
    torch.nn.init.zeros_(block.convolution.weight)
    torch.nn.init.zeros_(block.convolution.bias)
    assert torch.equal(block(hidden, torch.ones(1, 5, dtype=torch.bool)), hidden)
