"""What test_gallery_ranks.py runs on two DeepSpeed ranks: `-m tests.integration.gallery_ranks OUT`.

Both networks are under ZeRO-3, where a pass of one rank alone would wait for the other for ever.
"""

from __future__ import annotations

import sys
from pathlib import Path

from gsv2.training.distributed import Distributed, leave
from tests.training.telemetry.showing import ShowingStage
from tests.training.toy import fit_toy, toy_config

if __name__ == "__main__":
    ranks = Distributed()
    zero_3 = {"kind": "deepspeed", "zero_stage": 3}
    engines = {"generator": zero_3, "discriminator": zero_3}
    config = toy_config(Path(sys.argv[1]), engines=engines, tracking={"samples": 2})
    stage, _ = fit_toy(config, ranks, stage_class=ShowingStage)
    for trainable in stage.trainables.values():
        assert all(hasattr(parameter, "ds_id") for parameter in trainable.module.parameters())
    ranks.close()
    leave(0)
