"""Runs that tests of faults share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.forked_runs import ForkedRuns
from tests.support.processes import finish, start_deepspeed_ranks


@pytest.fixture(scope="session")
def forked_runs() -> Iterator[ForkedRuns]:
    """Forks runs."""
    with ForkedRuns() as forked_runs:
        yield forked_runs


@pytest.fixture(scope="session")
def unbroken(forked_runs: ForkedRuns, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process trains that nothing befalls."""
    folder = tmp_path_factory.mktemp("unbroken")
    assert forked_runs.run(folder) == [0]
    return folder


@pytest.fixture(scope="session")
def deepspeed_ranks(tmp_path_factory: pytest.TempPathFactory, tiny_corpus: Any) -> Path:
    """What two ranks under DeepSpeed have left: folders `gallery`, `optim` and `mixed`."""
    folder = tmp_path_factory.mktemp("deepspeed")
    arguments = (str(folder), str(tiny_corpus.path))
    finish(start_deepspeed_ranks(2, "tests.support.ranks.deepspeed", *arguments))
    return folder
