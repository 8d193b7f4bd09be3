"""A GPT that reads by a pointer, on two ranks under DDP, ZeRO-2 and ZeRO-3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from gsv2.training.checkpoints.checkpoint import find_component
from gsv2.training.run_folder.records import read_records
from tests.support.processes import finish, start_deepspeed_ranks
from tests.support.ranks.pointer import ENGINES
from tests.support.same_run import assert_same_metrics

_PATIENCE_SEC = 900.0
"""Four trainings on two ranks take a minute of two free cores."""
HEARD = ("char_errors", "char_errors_recorded", "ended", "leak")


@pytest.mark.slow
@pytest.mark.timeout(2 * _PATIENCE_SEC)
def test_every_engine_trains_a_pointer_as_ddp_does_and_is_heard_alike(
    tmp_path: Path, tiny_corpus: Any
) -> None:
    """ZeRO-3 holds the network in pieces: a whole copy of it speaks."""
    arguments = (str(tmp_path), str(tiny_corpus.path))
    finish(start_deepspeed_ranks(2, "tests.support.ranks.pointer", *arguments), _PATIENCE_SEC)
    ddp = tmp_path / "ddp" / "pointer"
    (last,) = [row for row in read_records(ddp / "metrics.jsonl") if "validation/ended" in row]
    assert all(f"validation/{name}" in last for name in HEARD)
    for name in ENGINES.keys() - {"ddp"}:
        other = tmp_path / name / "pointer"
        assert_same_metrics(ddp, other, 1e-4)
        weights, expected = (load_file(find_component(run, "gpt")) for run in (other, ddp))
        for key, value in expected.items():
            assert (weights[key] - value).abs().max() <= 1e-5, f"{name}: {key}"
