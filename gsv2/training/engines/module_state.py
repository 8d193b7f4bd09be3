"""Canonical state of a network and an optimizer that this process holds whole.

What a single process and DDP capture and restore; DeepSpeed brings its shards together first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import chain

from torch import Tensor, nn
from torch.optim import Optimizer

from gsv2.training.engines.engine import EngineError, TrainableState
from gsv2.training.engines.host_copies import HostCopy

COUNT = "step"
"""Key of the one tensor that is no moment: Adam's count of steps."""
_NUM_MOMENTS = 2


def capture_module(module: nn.Module, optimizer: Optimizer, copy: HostCopy) -> TrainableState:
    """Return copies of a bare network and its moments."""
    weights = {name: copy(f"weights/{name}", t) for name, t in module.state_dict().items()}
    moments = {
        f"{key}/{name}": copy(f"optimizer/{key}/{name}", value)
        for name, parameter in module.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, Tensor)
    }
    return TrainableState(weights=weights, optimizer=moments)


def restore_module(module: nn.Module, optimizer: Optimizer, state: TrainableState) -> None:
    """Give a bare network and its optimizer a captured state.

    Raises:
        EngineError: the state is of another network; nothing of it was taken.
    """
    names = {id(p): name for name, p in module.named_parameters()}
    numbers = {names[id(p)]: number for number, p in enumerate(trained(optimizer))}
    check_fits(state, module, numbers.keys())
    module.load_state_dict(dict(state.weights))
    by_number: dict[int, dict[str, Tensor]] = {}
    for path, value in state.optimizer.items():
        key, _, name = path.partition("/")
        by_number.setdefault(numbers[name], {})[key] = value
    groups = optimizer.state_dict()["param_groups"]
    # load_state_dict keeps tensors of the right device and dtype: those of `state` may be shared.
    copies = {n: {k: v.clone() for k, v in values.items()} for n, values in by_number.items()}
    optimizer.load_state_dict({"state": copies, "param_groups": groups})


def trained(optimizer: Optimizer) -> list[Tensor]:
    """Return what an optimizer steps, in its order."""
    return list(chain.from_iterable(group["params"] for group in optimizer.param_groups))


def pending_moment_bytes(optimizer: Optimizer, stepped: Iterable[Tensor]) -> int:
    """Return the bytes of moments that AdamW takes in its first step; 0 once it has them.

    Args:
        optimizer: torch optimizer of the module's parameters.
        stepped: the tensors that it will step.
    """
    if any(optimizer.state.values()):
        return 0
    return sum(_NUM_MOMENTS * t.numel() * t.element_size() for t in stepped)


def check_fits(state: TrainableState, module: nn.Module, trained: Collection[str]) -> None:
    """Check that a state is of a network, before anything of it is taken.

    Args:
        module: the bare network, whose parameters ZeRO-3 may have partitioned.
        trained: names of the parameters that the optimizer steps.

    Raises:
        EngineError: a tensor is missing, unknown or of another shape; names it.
    """
    shapes = {
        name: tuple(getattr(tensor, "ds_shape", tensor.shape))
        for name, tensor in module.state_dict(keep_vars=True).items()
    }
    _check_tensors("weights", state.weights, shapes)
    if state.average:
        _check_tensors("average", state.average, shapes)
    keys = {path.partition("/")[0] for path in state.optimizer}
    of_optimizer = {
        f"{key}/{name}": () if key == COUNT else shapes[name] for key in keys for name in trained
    }
    _check_tensors("optimizer", state.optimizer, of_optimizer)


def _check_tensors(
    part: str, tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    differing = sorted(tensors.keys() ^ shapes.keys())
    if differing:
        has = "have no" if differing[0] in shapes else "have an unknown"
        raise EngineError(
            f"the state is of another network: its {part} tensors {has} {differing[0]} "
            f"({len(differing)} names differ)"
        )
    for name, shape in shapes.items():
        if tuple(tensors[name].shape) != shape:
            raise EngineError(
                f"the state is of another network: its {part} tensor {name} must have the shape "
                f"{list(shape)}, but has {list(tensors[name].shape)}"
            )
