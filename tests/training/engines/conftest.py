from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
import torch
import torch.distributed as dist

from gsv2.training.engines.deepspeed import _import_deepspeed


@pytest.fixture(scope="session")
def _deepspeed() -> Iterator[None]:
    """Import it, and close the group of one that its first engine opens and the others need."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DS_ACCELERATOR", "cpu")
        patch.setenv("LOCAL_SIZE", "1")
        _import_deepspeed()
        yield
    if dist.is_initialized():
        dist.destroy_process_group()


@pytest.fixture
def alone(_deepspeed: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make DeepSpeed run in this process, on the CPU, as in a run that no launcher started."""
    monkeypatch.setenv("LOCAL_RANK", "0")  # which the engine would leave behind for other tests
    linear = torch.nn.functional.linear  # ZeRO-3 puts its own there, for good
    monkeypatch.setattr(torch.nn.functional, "linear", linear)
    gc.freeze()  # each ZeRO-3 engine collects garbage: half a second over all that is imported
    yield
    gc.unfreeze()
