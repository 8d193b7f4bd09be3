from __future__ import annotations

import shutil
from typing import Any

import pytest
import torch
import torch._inductor.config
from torch import Tensor, nn

from gsv2.training.engines.compile import CompileError, check_compile, compile_networks
from gsv2.training.stage import Trainable


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Tanh(), nn.Linear(8, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def make(seed: int = 0) -> dict[str, Trainable]:
    torch.manual_seed(seed)
    module = Net()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    return {
        "net": Trainable(
            kind="gpt",
            module=module,
            config={},
            optimizer=optimizer,
            scheduler=torch.optim.lr_scheduler.LambdaLR(optimizer, lambda done: 1.0),
            max_grad_norm=1.0,
        )
    }


def modules_of(trainables: dict[str, Trainable]) -> dict[str, nn.Module]:
    return {name: trainable.module for name, trainable in trainables.items()}


def train(trainables: dict[str, Trainable], num_steps: int = 3) -> list[Tensor]:
    trainable = trainables["net"]
    losses = []
    for step in range(num_steps):
        torch.manual_seed(step)
        loss = trainable(torch.ones(2 + step, 4)).square().mean()
        loss.backward()
        trainable.optimizer.step()
        trainable.optimizer.zero_grad()
        losses.append(loss.detach())
    return losses


@pytest.fixture(autouse=True)
def _fresh_compiler() -> Any:
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_compiled_network_trains_like_an_ordinary_one_with_dropout(backend: str) -> None:
    expected = train(make())
    compiled = make()
    names = list(compiled["net"].module.state_dict())
    compile_networks(modules_of(compiled), {"net": "default"}, backend)
    torch.testing.assert_close(train(compiled), expected)
    assert list(compiled["net"].module.state_dict()) == names


@pytest.mark.slow
@pytest.mark.skipif(
    not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="inductor needs a C++ compiler"
)
@pytest.mark.filterwarnings("default")  # of inductor's own imports
def test_inductor_trains_like_an_ordinary_network_given_the_same_noise() -> None:
    """Of itself inductor draws other noise for dropout than torch does, from the same seed."""
    expected = train(make())
    compiled = make()
    compile_networks(modules_of(compiled), {"net": "default"}, "inductor")
    with torch._inductor.config.patch(fallback_random=True):
        torch.testing.assert_close(train(compiled), expected, rtol=1e-5, atol=1e-6)
    assert compiled["net"].module._compiled_call_impl is not None, "it fell back"


def test_a_network_that_is_off_is_left_alone() -> None:
    trainables = make()
    compile_networks(modules_of(trainables), {"net": "off"})
    assert trainables["net"].module._compiled_call_impl is None


def test_what_cannot_be_compiled_runs_uncompiled_with_a_warning_and_the_same_noise(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def no_compiler(graph: Any, inputs: Any) -> Any:
        torch.rand(3)  # noise that is drawn before it fails
        raise RuntimeError("no working compiler")

    expected = train(make())
    broken = make()
    compile_networks(modules_of(broken), {"net": "default"}, no_compiler)
    torch.testing.assert_close(train(broken), expected, rtol=0, atol=0)
    warnings = [r.message for r in caplog.records if r.name == "gsv2.training.engines.compile"]
    assert len(warnings) == 1
    assert "net RUNS UNCOMPILED" in warnings[0]
    assert "no working compiler" in warnings[0]


def test_an_error_of_the_network_itself_is_not_taken_for_one_of_the_compiler() -> None:
    trainables = make()
    compile_networks(modules_of(trainables), {"net": "default"}, "eager")
    with pytest.raises(RuntimeError):
        trainables["net"](torch.ones(2, 5))


def test_a_frozen_network_compiled_for_training_gets_no_gradient() -> None:
    trainables = make()
    compile_networks(modules_of(trainables), {"net": "default"}, "aot_eager")
    train(trainables, 1)
    x = torch.ones(2, 4, requires_grad=True)
    with trainables["net"].frozen() as judge:
        judge(x).sum().backward()
    assert x.grad is not None
    assert all(p.grad is None for p in trainables["net"].module.parameters())


def test_unknown_modes_and_names_are_refused() -> None:
    with pytest.raises(CompileError, match=r"trainer\.compile\.net must be one of off, default"):
        check_compile({"net": "fastest"})
    with pytest.raises(CompileError, match=r"trainer\.compile\.gtp.*this stage has net"):
        compile_networks(modules_of(make()), {"gtp": "default"})


def test_a_backend_that_torch_does_not_have_is_named() -> None:
    wanted = r"compile_backend must .*aot_eager.*inductor.*'inducter'"
    with pytest.raises(CompileError, match=wanted):
        compile_networks(modules_of(make()), {"net": "default"}, backend="inducter")
