from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gsv2.training.telemetry import memory_peak
from gsv2.training.telemetry.memory_peak import begin_peak, read_peak

CPU = torch.device("cpu")
MIB = 2**20


def use(mib: int) -> None:
    """Write to so much memory, and give it back."""
    torch.ones(mib * MIB, dtype=torch.uint8)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux forgets its peaks")
def test_memory_that_was_given_back_counts_until_the_next_beginning() -> None:
    begin_peak(CPU)
    before = read_peak(CPU)
    use(256)
    assert 250 * MIB < read_peak(CPU) - before < 300 * MIB
    begin_peak(CPU)
    assert read_peak(CPU) - before < 100 * MIB


def test_where_linux_is_not_the_peak_is_that_of_the_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("_FORGET", "_STATUS"):
        monkeypatch.setattr(memory_peak, name, tmp_path / "none")
    begin_peak(CPU)
    before = read_peak(CPU)
    assert before > 50 * MIB  # torch alone takes more
    use(64)
    assert read_peak(CPU) >= before
