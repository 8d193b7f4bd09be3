from __future__ import annotations

import os
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from accelerate import InitProcessGroupKwargs

import gsv2.training.distributed.ranks as distributed_module
from gsv2.training.distributed.ranks import Distributed, DistributedError
from gsv2.training.faults.failure import FlightRecorder
from gsv2.training.faults.watchdog import Watchdog
from tests.support.thread_ranks import run_ranks


def test_one_process_is_a_world_of_one(distributed: Distributed) -> None:
    assert (distributed.rank, distributed.world, distributed.is_main) == (0, 1, True)
    assert distributed.sum([1.0, 2.5]) == [1.0, 2.5]
    assert distributed.gather("x") == ["x"]


def test_it_may_be_opened_again_in_the_same_process(distributed: Distributed) -> None:
    assert Distributed().device == distributed.device


def test_ranks_that_torch_does_not_know_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(DistributedError, match=r"WORLD_SIZE is 2, torch\.distributed has 1"):
        Distributed()


def test_another_rank_than_the_launchers_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(DistributedError, match="the launcher's RANK is 1, Accelerate's is 0"):
        Distributed()


def test_what_the_launcher_asks_of_deepspeed_does_not_change_the_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    assert Distributed().world == 1
    assert os.environ["ACCELERATE_USE_DEEPSPEED"] == "true"


@pytest.mark.parametrize("timeout_sec", [0.5, 15.0, 900.0])
def test_torch_leaves_a_rank_on_a_gpu_to_the_watchdog_which_says_where_it_stands(
    monkeypatch: pytest.MonkeyPatch, timeout_sec: float
) -> None:
    """Over NCCL torch ends the process when a collective is late; over gloo it is an error."""
    opened: list[InitProcessGroupKwargs] = []

    def open_group(cpu: bool, mixed_precision: str, kwargs_handlers: list[Any]) -> NoReturn:
        opened.extend(kwargs_handlers)
        raise RuntimeError("seen enough")

    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "1024")
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    monkeypatch.setattr(distributed_module, "Accelerator", open_group)
    for is_there in (False, True):
        monkeypatch.setattr(torch.cuda, "is_available", partial(bool, is_there))
        with pytest.raises(RuntimeError, match="seen enough"):
            Distributed(timeout_sec)
    gloo, nccl = opened
    assert (gloo.backend, gloo.timeout) == ("gloo", timedelta(seconds=timeout_sec))
    assert nccl.backend == "nccl"
    watchdog = Watchdog(FlightRecorder(Path(), 0, torch.device("cpu")), timeout_sec)
    assert nccl.timeout.total_seconds() >= watchdog._limit_sec + 60


def test_what_the_main_rank_raises_is_raised(distributed: Distributed) -> None:
    def fail() -> None:
        raise ValueError("no such corpus")

    assert distributed.on_main(lambda: 3) == 3
    with pytest.raises(ValueError, match="no such corpus"):
        distributed.on_main(fail)


def test_every_rank_raises_the_first_ranks_error_of_work_that_is_shared(
    distributed: Distributed,
) -> None:
    def check(ranks: Distributed, broken: set[int]) -> str:
        def part() -> str:
            if ranks.rank in broken:
                raise ValueError(f"shard {ranks.rank} is missing")
            return f"part {ranks.rank}"

        return Distributed.on_all(ranks, part)

    assert check(distributed, set()) == "part 0"
    assert run_ranks(3, lambda ranks: check(ranks, set())) == ["part 0", "part 1", "part 2"]
    errors = run_ranks(3, lambda ranks: check(ranks, {1, 2}))
    assert [str(error) for error in errors] == ["shard 1 is missing"] * 3
