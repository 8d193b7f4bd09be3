"""What the fixture `deepspeed_ranks` runs.

One start for several tests: what they need once, such as DeepSpeed, takes longer than they do.
"""

from __future__ import annotations

from pathlib import Path

from gsv2.training.distributed.ranks import Distributed
from tests.support import real_stages
from tests.support.forked_runs import DEEPSPEED
from tests.support.ranks import gallery, optim

BEFORE_FORKS = DEEPSPEED
MIXED = {
    "gpt": {"kind": "deepspeed", "zero_stage": 2},
    "generator": {"kind": "ddp"},
    "discriminator": {"kind": "ddp"},
}
"""Not the launcher's ZeRO stage, which is 3."""


def main(*folders: str) -> None:
    """Train in the first folder, from the corpus in the second."""
    out, corpus = map(Path, folders)
    ranks = Distributed()
    gallery.show(out / "gallery", ranks)
    optim.check(out / "optim", ranks)
    real_stages.make_codes(out / "mixed", corpus)
    real_stages.train_stage("joint", out / "mixed", corpus, out / "mixed", MIXED)
    ranks.close()
