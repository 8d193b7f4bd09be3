"""What test_two_ranks.py runs: `accelerate launch -m tests.integration.two_ranks OUT CORPUS`."""

from __future__ import annotations

import sys
from pathlib import Path

from gsv2.training.distributed import Distributed
from tests.integration.real_stages import train_all
from tests.training.toy import fit_toy, torn_batch, toy_config

if __name__ == "__main__":
    out, corpus = Path(sys.argv[1]), Path(sys.argv[2])
    fit_toy(toy_config(out), Distributed(), make_batch=torn_batch)
    train_all(out, corpus)
    Distributed().close()
