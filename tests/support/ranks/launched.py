"""What test_launched.py runs under `accelerate launch --use_deepspeed`: `... launched OUT`.

The toy without an `engines` section, and what of it each rank holds.
"""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path

from gsv2.training.distributed.ranks import Distributed, leave
from gsv2.training.stage import Trainable
from tests.support.forked_runs import DEEPSPEED
from tests.support.toy_stage import ToyRunConfig, fit_toy, torn_batch, toy_config

STEPS = 4
BEFORE_FORKS = DEEPSPEED


def launched_config(folder: Path) -> ToyRunConfig:
    """Return the config of a run whose engines are all `auto`."""
    options = {"max_steps": STEPS, "log_every_steps": 1, "validate_every_steps": 3}
    return toy_config(folder, trainer=options)


def count_held(trainable: Trainable) -> dict[str, int]:
    """Return how many elements this rank holds between steps, of a network under DeepSpeed."""
    moments = trainable.optimizer.state.values()  # DeepSpeed keeps the optimizer that it is given
    return {
        "parameters": sum(p.numel() for p in trainable.module.parameters()),
        "moments": sum(state["exp_avg"].numel() for state in moments),
        "all": sum(getattr(p, "ds_numel", p.numel()) for p in trainable.module.parameters()),
    }


def main(folder: str) -> None:
    """Train in `folder`, and write there what each rank holds."""
    out, ranks = Path(folder), Distributed()
    stage, _ = fit_toy(launched_config(out), ranks, make_batch=torn_batch)
    held = ranks.gather({name: count_held(of) for name, of in stage.trainables.items()})
    if ranks.is_main:
        (out / "held.json").write_text(json.dumps(held))
    ranks.close()


if __name__ == "__main__":
    gc.freeze()  # each ZeRO-3 engine collects garbage: seconds over all that is imported
    main(sys.argv[1])
    leave(0)
