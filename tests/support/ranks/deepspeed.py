"""What the fixture `deepspeed_ranks` runs: `-m tests.support.ranks.deepspeed OUT CORPUS`.

One start for several tests: it takes longer than what they do.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path

from gsv2.training.distributed.ranks import Distributed, leave
from tests.support import real_stages
from tests.support.ranks import gallery, optim

MIXED = {
    "gpt": {"kind": "deepspeed", "zero_stage": 2},
    "generator": {"kind": "ddp"},
    "discriminator": {"kind": "ddp"},
}
"""Not the launcher's ZeRO stage, which is 3."""

if __name__ == "__main__":
    gc.freeze()  # each ZeRO-3 engine collects garbage: seconds over all that is imported
    out, corpus = Path(sys.argv[1]), Path(sys.argv[2])
    ranks = Distributed()
    gallery.show(out / "gallery", ranks)
    optim.check(out / "optim", ranks)
    real_stages.make_codes(out / "mixed", corpus)
    real_stages.train_stage("joint", out / "mixed", corpus, out / "mixed", MIXED)
    ranks.close()
    leave(0)
