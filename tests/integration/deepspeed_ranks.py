"""What the fixture `deepspeed_ranks` runs: `-m tests.integration.deepspeed_ranks OUT`.

One start for several tests: it takes longer than what they do.
"""

from __future__ import annotations

import sys
from pathlib import Path

from gsv2.training.distributed import Distributed, leave
from tests.integration import gallery_ranks, optim_ranks

if __name__ == "__main__":
    out = Path(sys.argv[1])
    ranks = Distributed()
    gallery_ranks.show(out / "gallery", ranks)
    optim_ranks.check(out / "optim", ranks)
    ranks.close()
    leave(0)
