"""What `accelerate launch` asks of Accelerate's own wrappers, on two ranks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.forked_runs import ForkedRuns, codes_of
from tests.support.same_run import assert_same_run


def test_ranks_share_gradients_whatever_the_launcher_says_of_compilation_and_precision(
    tmp_path: Path, forked_runs: ForkedRuns, unbroken: Path
) -> None:
    """Accelerate would compile DDP, which then could not be told when to share."""
    asked = {"ACCELERATE_DYNAMO_BACKEND": "EAGER", "ACCELERATE_MIXED_PRECISION": "bf16"}
    children = forked_runs.start(tmp_path, world=2, environ=asked)
    assert codes_of(children) == [0, 0]
    assert_same_run(tmp_path, unbroken, 1e-5)
    told, other = (" ".join(child.errors.split()) for child in children)
    ignored = "--mixed_precision (precision decides), --dynamo_backend (trainer.compile decides)"
    assert f"gsv2 IGNORES {ignored}; it takes none but the ZeRO stage" in told
    assert "IGNORES" not in other


@pytest.mark.parametrize("flag", ["fsdp", "megatron_lm", "parallelism_config"])
def test_a_launcher_that_would_cut_networks_is_refused_in_one_line(
    tmp_path: Path, forked_runs: ForkedRuns, flag: str
) -> None:
    children = forked_runs.start(
        tmp_path, world=2, environ={f"ACCELERATE_USE_{flag.upper()}": "true"}
    )
    assert codes_of(children) == [1, 1]
    for child in children:
        (line,) = child.errors.strip().splitlines()
        assert line.startswith(f"gsv2.train: error: --use_{flag} of the launcher")
    assert not (tmp_path / "run").exists()
