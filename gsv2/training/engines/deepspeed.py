"""DeepSpeed, ZeRO-0 to ZeRO-3, on the process group that Accelerate opened.

Accelerate's own wrapper of DeepSpeed is passed by: it drives one engine only, steps inside
`backward`, where a non-finite update could not be left out, and changes how transformers loads
other networks. Everything here is fp32 storage; autocast stays with the stages.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from gsv2.training.engines.contract import EngineContract
from gsv2.training.engines.deepspeed_config import deepspeed_json
from gsv2.training.engines.deepspeed_state import (
    capture_state,
    flats,
    join_partitions,
    partition,
    restore_state,
)
from gsv2.training.engines.engine import MAX_ZERO_STAGE, EngineConfig, TrainableState
from gsv2.training.engines.host_copies import HostCopy, copy_to_host
from gsv2.training.engines.module_state import pending_moment_bytes, trained
from gsv2.training.engines.swapped_weights import (
    local_partition,
    swapped_partitions,
    swapped_weights,
)


class DeepSpeedEngine:
    """Shards moments (ZeRO-1), gradients (2), parameters (3) of one network, or nothing (0)."""

    def __init__(
        self,
        name: str,
        module: nn.Module,
        optimizer: Optimizer,
        config: EngineConfig,
        *,
        max_grad_norm: float,
        device: torch.device,
    ) -> None:
        """Wrap a network. Collective.

        Args:
            module: network on its device, in fp32.
            optimizer: a torch optimizer of the module's parameters; DeepSpeed keeps it.
            config: says the ZeRO stage.
            max_grad_norm: gradients are clipped to this L2 norm.
            device: device of this rank.
        """
        deepspeed = _import_deepspeed()
        self._contract = EngineContract(name)
        self._module = module
        self._named = dict(module.named_parameters())
        self._device = device
        self._stage = config.zero_stage
        self.loss_scale = 1.0
        _open_group_of_one(device.type == "cuda")
        with warnings.catch_warnings(action="ignore"):
            self._engine, self._optimizer, _, _ = deepspeed.initialize(
                model=module,
                optimizer=optimizer,
                config=deepspeed_json(config, max_grad_norm=max_grad_norm),
                dist_init_required=False,
            )
        _let_groups_wait(device)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the network under the autocast that the caller opened."""
        # DeepSpeed opens its own autocast in `forward`, and closes the caller's; so its own is
        # made the caller's.
        kind = self._device.type
        self._engine._config.torch_autocast_enabled = torch.is_autocast_enabled(kind)
        self._engine._config.torch_autocast_dtype = torch.get_autocast_dtype(kind)
        return self._contract.watch(self._engine(*args, **kwargs))

    def backward(self, loss: Tensor, *, is_last: bool) -> None:
        """Add the gradients of `loss`; with `is_last`, average the sum over the ranks."""
        self._engine.set_gradient_accumulation_boundary(is_last)
        if self._stage:
            # DeepSpeed looks for this between a backward and a forward pass. Ours may all come
            # before the first backward pass: ZeRO-3 would keep the last micro-batch alone.
            self._optimizer.clear_backward_seen_flag()
            self._optimizer.override_loss_scale(self.loss_scale)
        else:
            loss = loss * self.loss_scale
        with self._contract.backward():
            self._engine.backward(loss)

    def grad_norm(self) -> Tensor:
        """Return the norm before clipping; infinite if a gradient is not finite."""
        if self._stage == 0:
            gradients = [p.grad for p in self._module.parameters() if p.grad is not None]
            if self.loss_scale != 1.0:
                torch._foreach_mul_(gradients, 1.0 / self.loss_scale)
            return get_total_norm(gradients)
        if self._stage == MAX_ZERO_STAGE:
            from deepspeed.runtime.utils import combine_grad_norm_groups

            norm = combine_grad_norm_groups(self._optimizer._get_norm_groups())
        else:
            norm = self._optimizer.scaled_global_norm()
        norm = torch.as_tensor(norm, dtype=torch.float32, device=self._device)
        # -1 is DeepSpeed's word for not finite.
        return torch.where(norm < 0, torch.inf, norm / self.loss_scale)

    def step(self, max_norm: float) -> None:
        """Clip and step."""
        self._engine._config.gradient_clipping = max_norm
        if self._stage:
            self._optimizer.clip_grad = max_norm
        self._engine.step()
        self._contract.end()

    def skip(self) -> None:
        """Forget the gradients."""
        if self._stage == 0:
            self._engine.zero_grad()
        else:
            # DeepSpeed knows how to leave out an update with a gradient that is not finite.
            if dist.get_rank() == 0:  # whose shards hold real elements, never padding alone
                gradients = next(iter(self._optimizer.averaged_gradients.values()))
                gradients[0].view(-1)[0] = torch.nan
            self._engine.step()
        self._contract.end()

    def train(self, mode: bool) -> None:
        """Put the network into training or evaluation mode."""
        self._module.train(mode)

    def local_weights(self) -> Mapping[str, Tensor]:
        """Return the parameters, or ZeRO-3's partitions of them."""
        if self._stage < MAX_ZERO_STAGE:
            return self._named
        return {name: local_partition(parameter) for name, parameter in self._named.items()}

    def to_local(self, name: str, whole: Tensor) -> Tensor:
        """Return the parameter whole, or ZeRO-3's partition of it."""
        return whole if self._stage < MAX_ZERO_STAGE else partition(self._named[name], whole)

    def to_whole(self, name: str, part: Tensor) -> Tensor:
        """Return the parameter, or what ZeRO-3's partitions of all ranks make."""
        return part if self._stage < MAX_ZERO_STAGE else join_partitions(self._named[name], part)

    def swapped_weights(self, parts: Mapping[str, Tensor]) -> AbstractContextManager[None]:
        """Point the parameters, or ZeRO-3's partitions of them, to other weights inside."""
        swap = swapped_weights if self._stage < MAX_ZERO_STAGE else swapped_partitions
        return swap(self._named, parts)

    def pending_moment_bytes(self) -> int:
        """Return what AdamW will take for this rank's part of the parameters that train."""
        if self._stage == 0:
            return pending_moment_bytes(self._optimizer, trained(self._optimizer))
        return pending_moment_bytes(self._optimizer.optimizer, flats(self._optimizer, self._stage))

    def capture(self, copy: HostCopy = copy_to_host) -> TrainableState | None:
        """Return copies of everything, on the main rank."""
        return capture_state(self._module, self._optimizer, self._stage, copy)

    def restore(self, state: TrainableState) -> None:
        """Take weights and moments."""
        restore_state(self._module, self._optimizer, self._stage, state)


def _import_deepspeed() -> Any:
    """Import DeepSpeed, which takes seconds, for runs that use it; it compiles nothing."""
    with warnings.catch_warnings(action="ignore"):
        import deepspeed
        from deepspeed.ops import __compatible_ops__
    __compatible_ops__["deepspeed_shm_comm"] = False
    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    # DeepSpeed 0.19 calls by their old names what torch 2.14 renamed, many times a step.
    renamed = r".torch\.distributed\.(reduce_scatter_tensor|all_gather_into_tensor). is deprecated"
    warnings.filterwarnings("ignore", message=renamed, category=FutureWarning)
    return deepspeed


def _let_groups_wait(device: torch.device) -> None:
    """Give the groups that DeepSpeed opens for itself the patience of that of all ranks.

    torch gives new ones its own, of 10 minutes over NCCL, and aborts the process after it.
    """
    world = dist.group.WORLD
    assert world is not None, "the group is open"
    # torch 2.14 made the function public and announced the end of the private one.
    set_timeout = getattr(dist, "set_timeout", None) or dist.distributed_c10d._set_pg_timeout
    timeout = world._get_backend(device).options._timeout
    for group in dist.distributed_c10d._world.pg_map:
        if dist.get_backend(group) == dist.get_backend(world):
            set_timeout(timeout, group)


def _open_group_of_one(on_gpu: bool) -> None:
    """Give a process that no launcher started what DeepSpeed needs of one, for good."""
    if not dist.is_initialized():
        backend = "nccl" if on_gpu else "gloo"
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    os.environ.setdefault("LOCAL_RANK", "0")  # ZeRO-3 reads it in every step
