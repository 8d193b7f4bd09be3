"""The canonical state of a network and an optimizer that this process holds whole.

What a single process and DDP capture and restore; DeepSpeed brings its shards together first.
"""

from __future__ import annotations

from itertools import chain

from torch import Tensor, nn
from torch.optim import Optimizer

from gsv2.training.checkpoints.host_copies import Hold
from gsv2.training.engines.trainable_state import TrainableState


def capture_module(module: nn.Module, optimizer: Optimizer, hold: Hold) -> TrainableState:
    """Return copies of a bare network and its moments."""
    weights = {name: hold(f"weights/{name}", t) for name, t in module.state_dict().items()}
    moments = {
        f"{key}/{name}": hold(f"optimizer/{key}/{name}", value)
        for name, parameter in module.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, Tensor)
    }
    return TrainableState(weights=weights, optimizer=moments)


def restore_module(module: nn.Module, optimizer: Optimizer, state: TrainableState) -> None:
    """Give a bare network and its optimizer a captured state."""
    module.load_state_dict(dict(state.weights))
    names = {id(p): name for name, p in module.named_parameters()}
    parameters = chain.from_iterable(group["params"] for group in optimizer.param_groups)
    numbers = {names[id(parameter)]: number for number, parameter in enumerate(parameters)}
    by_number: dict[int, dict[str, Tensor]] = {}
    for path, value in state.optimizer.items():
        key, _, name = path.partition("/")
        by_number.setdefault(numbers[name], {})[key] = value
    groups = optimizer.state_dict()["param_groups"]
    # load_state_dict keeps tensors of the right device and dtype: those of `state` may be shared.
    copies = {n: {k: v.clone() for k, v in values.items()} for n, values in by_number.items()}
    optimizer.load_state_dict({"state": copies, "param_groups": groups})
