"""Whether two runs are one."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file

from gsv2.training.checkpoints.checkpoint import find_component
from gsv2.training.run_folder.records import read_records

TIMING_KEYS = frozenset(
    {
        "time",
        "checkpoint/blocked_sec",
        "checkpoint/write_sec",
        "data/wait_share",
        "train/steps_per_sec",
        "train/tokens_per_sec",
        "train/audio_sec_per_sec",
        "train/mfu",
        "train/host_memory_gib",
        "train/device_memory_gib",
    }
)
"""Keys of metrics.jsonl that two runs of one seed do not share."""
NETWORKS = ("generator", "discriminator")


def assert_same_run(folder: Path, other: Path, tolerance: float = 0.0) -> None:
    """Check that two runs of the toy have the same weights and rows."""
    for name in NETWORKS:
        tensors, others = (load_file(find_component(f / "run", name)) for f in (folder, other))
        for key, value in tensors.items():
            assert (value - others[key]).abs().max() <= tolerance, f"{name}.{key}"
    rows, other_rows = (read_records(f / "run" / "metrics.jsonl") for f in (folder, other))
    assert [row["step"] for row in rows] == [row["step"] for row in other_rows]
    for row, other_row in zip(rows, other_rows, strict=True):
        assert row.get("data/ledger") == other_row.get("data/ledger")
        for key in (row.keys() | other_row.keys()) - TIMING_KEYS - {"data/ledger"}:
            assert row[key] == pytest.approx(other_row[key], rel=tolerance, abs=tolerance), key
    bad, other_bad = (read_records(f / "run" / "quarantine.jsonl") for f in (folder, other))
    assert [clip["key"] for clip in bad] == [clip["key"] for clip in other_bad]


def assert_same_metrics(run: Path, other: Path, tolerance: float) -> None:
    """Check that the rows of two runs are equal but for what their numbers of ranks change."""
    rows, others = (read_records(folder / "metrics.jsonl") for folder in (run, other))
    for row, other_row in zip(rows, others, strict=True):
        assert row.keys() == other_row.keys()
        assert row.get("data/ledger") == other_row.get("data/ledger")
        for key in row.keys() - TIMING_KEYS - {"data/ledger"}:
            expected = pytest.approx(row[key], rel=tolerance, abs=tolerance)
            assert other_row[key] == expected, f"step {row['step']}: {key}"
