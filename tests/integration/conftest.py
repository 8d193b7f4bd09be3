"""Runs that tests of faults share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.forked_runs import ForkedRuns, finish
from tests.support.shared_folder import shared_folder


@pytest.fixture(scope="session")
def unbroken(forked_runs: ForkedRuns, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process trains that nothing befalls."""

    def make(folder: Path) -> None:
        assert forked_runs.run(folder) == [0]

    return shared_folder(tmp_path_factory, "unbroken", make)


@pytest.fixture(scope="session")
def deepspeed_ranks(
    tmp_path_factory: pytest.TempPathFactory, tiny_corpus: Any, forked_runs: ForkedRuns
) -> Path:
    """What two ranks under DeepSpeed have left: folders `gallery`, `optim` and `mixed`."""
    launcher = {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": "3"}

    def make(folder: Path) -> None:
        words = ("deepspeed", folder, tiny_corpus.path)
        finish(forked_runs.start_ranks(folder, *words, **launcher))

    return shared_folder(tmp_path_factory, "deepspeed_ranks", make)
