"""State of a network under DeepSpeed as full tensors, and the way back.

ZeRO-1 and ZeRO-2 keep one flat fp32 vector of each parameter group's trained parameters, cut
over the ranks, and moments of the same shape; ZeRO-3 keeps a partition of every parameter.
Parameters are taken one by one, so that no rank ever holds a second network.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from gsv2.training.engines.engine import MAX_ZERO_STAGE, TrainableState
from gsv2.training.engines.host_copies import HostCopy
from gsv2.training.engines.module_state import (
    COUNT,
    capture_module,
    check_fits,
    restore_module,
)
from gsv2.training.engines.swapped_weights import local_partition


def capture_state(
    module: nn.Module, optimizer: Any, stage: int, copy: HostCopy
) -> TrainableState | None:
    """Return copies of all tensors on the main rank; None on the others. Collective.

    Args:
        module: the bare network.
        optimizer: DeepSpeed's, or torch's under ZeRO-0.
        copy: copies a tensor of a name to the host.
    """
    is_main = dist.get_rank() == 0
    if stage == 0:
        return capture_module(module, optimizer, copy) if is_main else None
    keep: HostCopy | None = copy if is_main else None
    weights = _full_weights(module, stage, keep)
    if stage < MAX_ZERO_STAGE:
        _link_moments(optimizer)
    moments = _full_moments(module, optimizer, keep)
    return TrainableState(weights=weights, optimizer=moments) if is_main else None


def restore_state(module: nn.Module, optimizer: Any, stage: int, state: TrainableState) -> None:
    """Put a state, given on every rank, into a network and its optimizer. Collective.

    Raises:
        EngineError: the state is of another network; nothing of it was taken.
    """
    if stage == 0:
        restore_module(module, optimizer, state)
        return
    check_fits(state, module, [n for n, p in module.named_parameters() if p.requires_grad])
    if stage == MAX_ZERO_STAGE:
        _load_full_weights(module, state.weights)
    else:
        module.load_state_dict(dict(state.weights))
        optimizer.refresh_fp32_params()
    _load_moments(module, optimizer, stage, state.optimizer)


def _full_weights(module: nn.Module, stage: int, copy: HostCopy | None) -> dict[str, Tensor]:
    """Return copies where there is a `copy`; ZeRO-3's parameters are gathered one by one."""
    from deepspeed.runtime.zero import GatheredParameters

    weights = {}
    for name, value in module.state_dict(keep_vars=True).items():
        is_partitioned = stage == MAX_ZERO_STAGE and isinstance(value, nn.Parameter)
        with GatheredParameters([value]) if is_partitioned else nullcontext():
            if copy is not None:
                weights[name] = copy(f"weights/{name}", value.detach())
    return weights


def _load_full_weights(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    from deepspeed.runtime.zero import GatheredParameters

    for name, value in module.state_dict(keep_vars=True).items():
        is_partitioned = isinstance(value, nn.Parameter)
        with (
            GatheredParameters([value], modifier_rank=0) if is_partitioned else nullcontext(),
            torch.no_grad(),
        ):
            value.copy_(weights[name])
        if is_partitioned and value.requires_grad:  # what the optimizer steps is another tensor
            _set_partition(value, None, weights[name])


def _full_moments(module: nn.Module, optimizer: Any, copy: HostCopy | None) -> dict[str, Tensor]:
    """Return copies where there is a `copy`, gathered one by one."""
    from deepspeed.utils import safe_get_full_optimizer_state

    like: Mapping[str, Any] = next(iter(optimizer.optimizer.state.values()), {})
    moments = {}
    for name, parameter in module.named_parameters():
        for key in like if parameter.requires_grad else ():
            is_count = key == COUNT
            full = like[key] if is_count else safe_get_full_optimizer_state(parameter, key)
            if copy is not None:
                moments[f"{key}/{name}"] = copy(f"optimizer/{key}/{name}", full)
    return moments


def _load_moments(
    module: nn.Module, optimizer: Any, stage: int, tensors: Mapping[str, Tensor]
) -> None:
    """Fill the flat moments with this rank's partitions of full ones."""
    by_name: dict[str, dict[str, Tensor]] = {}
    for path, value in tensors.items():
        key, _, name = path.partition("/")
        by_name.setdefault(name, {})[key] = value
    trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
    if not by_name:
        optimizer.optimizer.state.clear()
        return
    base, like = optimizer.optimizer, next(iter(by_name.values()))
    for flat in flats(optimizer, stage):
        state = base.state[flat]
        for key, value in like.items():
            if key == COUNT:
                state[key] = value.to(flat.device, copy=True)
            elif key not in state:
                state[key] = torch.zeros_like(flat, requires_grad=False)
    if stage < MAX_ZERO_STAGE:
        _link_moments(optimizer)
    for name, parameter in trained.items():
        for key, value in by_name[name].items():
            if key != COUNT:
                _set_moment(parameter, key, value, stage)


def _link_moments(optimizer: Any) -> None:
    """Show ZeRO-1's and ZeRO-2's parameters their partitions of the flat moments.

    DeepSpeed does so in the first step, when only the first parameter group has moments.
    """
    optimizer._hp_optimizer_states_linked = False
    optimizer._lazy_init_hp_params_optimizer_state()


def _set_moment(parameter: nn.Parameter, key: str, value: Tensor, stage: int) -> None:
    from deepspeed.utils import safe_set_full_optimizer_state

    if stage == MAX_ZERO_STAGE:
        _set_partition(parameter, key, value)
    else:
        safe_set_full_optimizer_state(parameter, value, key)


def _set_partition(parameter: Any, key: str | None, value: Tensor) -> None:
    """Set this rank's partition of a moment, or without a key of the fp32 weights, under ZeRO-3."""
    part = partition(parameter, value)  # DeepSpeed's setter of full tensors fails at the end
    parameter._z3_optimizer.set_local_hp_param(part, parameter, key)


def partition(parameter: nn.Parameter, value: Tensor) -> Tensor:
    """Return of full values this rank's partition under ZeRO-3; the last ones end in padding."""
    size, rank = local_partition(parameter).numel(), dist.get_rank()
    part = value.flatten()[rank * size : (rank + 1) * size]
    return nn.functional.pad(part, (0, size - len(part))).to(parameter.device)


def join_partitions(parameter: Any, part: Tensor) -> Tensor:
    """Return the full values whose partitions the ranks hold under ZeRO-3. Collective."""
    full = part.new_empty(dist.get_world_size() * part.numel())
    dist.all_gather_into_tensor(full, part)
    shape: torch.Size = parameter.ds_shape
    return full[: shape.numel()].view(shape)


def flats(optimizer: Any, stage: int) -> Iterable[Tensor]:
    """Return this rank's flat fp32 vectors, which the moments are of."""
    if stage == MAX_ZERO_STAGE:
        return optimizer.fp32_partitioned_groups_flat
    return optimizer.single_partition_of_fp32_groups
