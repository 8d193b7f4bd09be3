"""The row is measured with weights and moments that are checked to be equal."""

from __future__ import annotations

from benchmarks.checkpoint import make_trainable, measure, sizes_of
from benchmarks.harness import Row
from benchmarks.options import Options


def test_both_targets_are_measured(tmp_path):
    with Row(10, "checkpoint", Options(rounds=1, quick=True, out=tmp_path)) as row:
        trainable = make_trainable(1, 64)
        measure(row, trainable, tmp_path / "work")
    names = ["gsv2 / memcpy", "gsv2 / torch.save"]
    assert [target.figure.name for target in row.targets] == names
    assert (tmp_path / "row-10-checkpoint.json").is_file()
    parameters = sum(parameter.numel() for parameter in trainable.module.parameters())
    assert sum(sizes_of(trainable)) > 12 * parameters  # weights and two moments in fp32
