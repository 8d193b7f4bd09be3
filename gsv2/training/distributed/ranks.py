"""Ranks of a run and their host values: the only holder of Accelerate.

Accelerate opens the process group, and that is all: networks (which it would wrap as the launcher
says), schedules (stepped once per rank) and loaders (sharded once more) never pass through it.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, NoReturn, TypeVar, cast

import torch
import torch.distributed as dist
from accelerate import Accelerator, InitProcessGroupKwargs
from accelerate.utils import parse_flag_from_env
from torch import Tensor, nn

from gsv2.training.distributed.launcher import check_launcher, hidden_deepspeed
from gsv2.training.distributed.packed_objects import pack, packed_length, unpack
from gsv2.training.faults.watchdog import stall_limit_sec

T = TypeVar("T")

_ONEDNN_CACHE = "32768"
"""Compiled convolutions to keep, at a few kB each."""

_MESSAGE_BYTES = 4096
"""Bytes that fit into one message of `gather` and `broadcast`; more takes a second one. torch's own
functions for objects always take two, which a record of figures would pay for many times."""
DEFAULT_TIMEOUT_SEC = 900.0
_LAST_WORDS_SEC = 60.0
"""Time in which the watchdog writes down where a rank stands, before torch aborts the process."""


class DistributedError(ValueError):
    """Ranks that cannot work together."""


class Distributed:
    """This process among its ranks; one process is a world of 1.

    Small host values (counts, flags, names) travel over gloo, so that they never wait for a
    GPU.
    """

    def __init__(self, timeout_sec: float = DEFAULT_TIMEOUT_SEC) -> None:
        """Open the process group that the launcher's environment describes.

        Args:
            timeout_sec: how long a collective of host values waits for a rank; that of the first
                call in a process holds.

        Raises:
            LauncherError: the launcher asks for what gsv2 does not do.
            DistributedError: launcher, Accelerate and torch disagree about the ranks.
        """
        check_launcher()
        handlers: list[Any] = []
        on_cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.cuda.is_available()
        timeout = timedelta(seconds=timeout_sec)
        if "LOCAL_RANK" in os.environ:  # without ranks a backend is an error
            handlers.append(_group_of_ranks(on_cpu, timeout_sec))
        if on_cpu:
            # oneDNN compiles every convolution per shape and keeps the last 1024; a GAN over clips
            # of changing lengths needs more.
            os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", _ONEDNN_CACHE)
            os.environ.setdefault("DS_ACCELERATOR", "cpu")  # DeepSpeed looks for GPUs by itself
            # ... and counts sockets by starting `numactl` in every backward pass under ZeRO-3.
            os.environ.setdefault("LOCAL_SIZE", os.environ.get("LOCAL_WORLD_SIZE", "1"))
        with hidden_deepspeed():
            self._accelerator = Accelerator(
                cpu=on_cpu, mixed_precision="no", kwargs_handlers=handlers
            )
        self.device: torch.device = self._accelerator.device
        self.rank: int = self._accelerator.process_index
        self.world: int = self._accelerator.num_processes
        self._check_world()
        self._host_group: dist.ProcessGroup | None = None
        if self.world > 1 and self.device.type != "cpu":
            group = dist.new_group(backend="gloo", timeout=timeout)
            assert isinstance(group, dist.ProcessGroup), "every rank is in it"
            self._host_group = group

    @property
    def is_main(self) -> bool:
        """Whether this rank writes files and shows progress."""
        return self.rank == 0

    def share_buffers(self, module: nn.Module) -> None:
        """Give every rank the main rank's buffers. Collective."""
        if self.world > 1:
            for buffer in module.buffers():
                dist.broadcast(buffer, 0)

    def sum(self, values: Sequence[float]) -> list[float]:
        """Return the sums of host values over the ranks."""
        return self.start_sum(torch.tensor(values, dtype=torch.float64))().tolist()

    def start_sum(self, values: Tensor) -> Callable[[], Tensor]:
        """Begin to sum a few `values` over the ranks; return what waits for the sums.

        Every rank starts its sums in the same order. Those of a GPU do not wait for the host.
        """
        if self.world == 1:
            return lambda: values
        if values.device.type == "cpu":
            # Half the hops of gloo's all-reduce, and the same sums on every rank to the last bit.
            parts = [torch.empty_like(values) for _ in range(self.world)]
            work = dist.all_gather(parts, values, group=self._host_group, async_op=True)
        else:
            parts = [values]
            work = dist.all_reduce(values, async_op=True)
        assert work is not None

        def finish() -> Tensor:
            work.wait()
            return torch.stack(parts).sum(dim=0)

        return finish

    def gather(self, value: T) -> list[T]:
        """Return one small host object of each rank, in rank order, on every rank."""
        if self.world == 1:
            return [value]
        messages = self._gather_packed(pack(value, _MESSAGE_BYTES))
        longest = max(map(packed_length, messages))
        if longest > _MESSAGE_BYTES:
            messages = self._gather_packed(pack(value, longest))
        return [unpack(message) for message in messages]

    def _gather_packed(self, packed: Tensor) -> list[Tensor]:
        messages = [torch.empty_like(packed) for _ in range(self.world)]
        dist.all_gather(messages, packed, group=self._host_group)
        return messages

    def broadcast(self, value: T, source: int = 0) -> T:
        """Return rank `source`'s host object on every rank."""
        if self.world == 1:
            return value
        is_source = self.rank == source
        packed = pack(value if is_source else None, _MESSAGE_BYTES)
        dist.broadcast(packed, src=source, group=self._host_group)
        if (length := packed_length(packed)) > _MESSAGE_BYTES:
            packed = pack(value if is_source else None, length)
            dist.broadcast(packed, src=source, group=self._host_group)
        return value if is_source else unpack(packed)

    def on_main(self, action: Callable[[], T]) -> T:
        """Run `action` on the main rank alone and return its result on all of them.

        A ValueError or OSError there is raised on every rank, so that none waits for another.
        """
        outcome: tuple[Any, Exception | None] = (None, None)
        if self.is_main:
            try:
                outcome = (action(), None)
            except (ValueError, OSError) as error:
                outcome = (None, error)
        result, failure = self.broadcast(outcome)
        if failure is not None:
            raise failure
        return result

    def on_all(self, action: Callable[[], T]) -> T:
        """Run `action` on every rank and return this rank's result.

        The first rank's ValueError or OSError is raised on every rank. Collective.
        """
        try:
            result, failure = action(), None
        except (ValueError, OSError) as error:
            result, failure = None, error
        for of_rank in self.gather(failure):
            if of_rank is not None:
                raise of_rank
        return cast(T, result)

    def barrier(self) -> None:
        """Wait until every rank is here."""
        if self.world > 1:
            dist.barrier(group=self._host_group)

    def release(self) -> None:
        """Give back the memory of a run that has ended."""
        self._accelerator.free_memory()

    def close(self) -> None:
        """Leave the process group, at the end of the process."""
        self._accelerator.end_training()

    def _check_world(self) -> None:
        torch_world = dist.get_world_size() if dist.is_initialized() else 1
        launched = int(os.environ.get("WORLD_SIZE", "1"))
        if not self.world == torch_world == launched:
            raise DistributedError(
                f"ranks disagree: the launcher's WORLD_SIZE is {launched}, torch.distributed has "
                f"{torch_world}, Accelerate has {self.world}; CPU ranks need `accelerate launch "
                "--multi_gpu` with ACCELERATE_USE_CPU=true"
            )
        launched_rank = int(os.environ.get("RANK", "0"))
        if self.rank != launched_rank:
            raise DistributedError(
                f"ranks disagree: the launcher's RANK is {launched_rank}, Accelerate's is "
                f"{self.rank}"
            )


def _group_of_ranks(on_cpu: bool, timeout_sec: float) -> InitProcessGroupKwargs:
    """Return the process group to open.

    A collective over gloo that is late is an error. Over NCCL torch aborts the process, so that it
    waits until the watchdog has ended a rank that stands still, and has said where.
    """
    if on_cpu:
        return InitProcessGroupKwargs(backend="gloo", timeout=timedelta(seconds=timeout_sec))
    patience = timedelta(seconds=stall_limit_sec(timeout_sec) + _LAST_WORDS_SEC)
    return InitProcessGroupKwargs(backend="nccl", timeout=patience)


def leave(code: int) -> NoReturn:
    """End this process when all is written.

    A rank among others ends at once. One that failed does not let them wait for its tidying up;
    and in the end of an interpreter, threads of process groups that still stand now and then abort
    it ("terminate called without an active exception"), which turns a success into a failure.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
