from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gsv2.training.distributed.ranks import Distributed
from gsv2.training.ema import WARMUP, WeightAverage
from gsv2.training.engines.plain import PlainEngine


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.frozen = nn.Parameter(torch.ones(2), requires_grad=False)
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) + self.frozen


def average_of(net: Net, decay: float) -> WeightAverage:
    optimizer = torch.optim.SGD(net.linear.parameters(), lr=0.1)
    return WeightAverage(net, PlainEngine("net", net, optimizer, Distributed()), decay)


def walk(net: Net, average: WeightAverage, num_updates: int, first: int = 1) -> list[Tensor]:
    """Move the weights at random, `num_updates` times; return them."""
    seen = []
    for number in range(first, first + num_updates):
        with torch.no_grad():
            net.linear.weight.copy_(
                torch.randn(2, 3, generator=torch.Generator().manual_seed(number))
            )
            net.count += 1
        average.update(number)
        seen.append(net.linear.weight.detach().clone())
    return seen


def copy(name: str, tensor: Tensor) -> Tensor:
    return tensor.detach().clone()


def test_the_average_follows_its_formula_and_its_warm_up() -> None:
    net = Net()
    expected = net.linear.weight.detach().double()
    average = average_of(net, 0.6)
    for number, weight in enumerate(walk(net, average, 40), 1):
        decay = min(0.6, number / (WARMUP + number))
        expected = decay * expected + (1 - decay) * weight
    with average.swapped_in():
        torch.testing.assert_close(net.linear.weight.double(), expected, rtol=1e-6, atol=1e-6)


def test_what_is_averaged_is_lent_and_given_back() -> None:
    net = Net()
    average = average_of(net, 0.9)
    last = walk(net, average, 3)[-1]
    x, storage = torch.ones(1, 3), net.linear.weight.data_ptr()
    own = net(x)
    with torch.no_grad(), average.swapped_in():
        assert not torch.equal(net(x), own)
    assert torch.equal(net(x), own)
    assert torch.equal(net.linear.weight, last)
    assert net.linear.weight.data_ptr() == storage  # the optimizer's and the engine's memory


def test_weights_come_back_when_a_validation_fails() -> None:
    net = Net()
    average = average_of(net, 0.9)
    last = walk(net, average, 2)[-1]
    with pytest.raises(RuntimeError), average.swapped_in():
        raise RuntimeError
    assert torch.equal(net.linear.weight, last)


def test_an_average_of_half_precision_weights_is_kept_in_fp32() -> None:
    net = Net().to(torch.bfloat16)
    average = average_of(net, 0.999)
    merged = average.merge(net.state_dict(), copy)
    assert merged["linear.weight"].dtype == torch.float32
    with average.swapped_in():
        assert net.linear.weight.dtype == torch.bfloat16


def test_a_restored_average_goes_on_like_an_unbroken_one() -> None:
    whole, halves = Net(), Net()
    halves.load_state_dict(whole.state_dict())
    unbroken, first = average_of(whole, 0.9), average_of(halves, 0.9)
    walk(whole, unbroken, 6)
    walk(halves, first, 3)
    saved = first.merge(halves.state_dict(), copy)
    resumed = Net()
    resumed.load_state_dict(halves.state_dict())
    second = average_of(resumed, 0.9)
    second.restore(saved)
    walk(resumed, second, 3, first=4)
    expected = unbroken.merge(whole.state_dict(), copy)
    torch.testing.assert_close(second.merge(resumed.state_dict(), copy), expected, rtol=0, atol=0)


def test_buffers_and_frozen_parameters_of_the_file_are_those_of_the_network() -> None:
    net = Net()
    average = average_of(net, 0.9)
    walk(net, average, 2)
    merged = average.merge(net.state_dict(), copy)
    assert merged.keys() == net.state_dict().keys()
    assert merged["count"] == 2
    assert torch.equal(merged["frozen"], net.frozen)
    assert not torch.equal(merged["linear.weight"], net.linear.weight)
