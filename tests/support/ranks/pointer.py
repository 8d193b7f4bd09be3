"""What test_pointer_engines.py runs: `-m tests.support.ranks.pointer OUT CORPUS`.

Under `accelerate launch --use_deepspeed`: a GPT that reads by a pointer, under each engine.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path

from gsv2.training.distributed.ranks import Distributed, leave
from tests.support.real_stages import make_alignments, make_codes, train_stage

ENGINES = {
    "ddp": {"kind": "ddp"},
    "zero2": {"kind": "deepspeed", "zero_stage": 2},
    "zero3": {"kind": "deepspeed", "zero_stage": 3},
}

if __name__ == "__main__":
    gc.freeze()  # each ZeRO-3 engine collects garbage: seconds over all that is imported
    out, corpus = Path(sys.argv[1]), Path(sys.argv[2])
    make_codes(out, corpus)
    make_alignments(out, corpus)
    for name, engine in ENGINES.items():
        train_stage("pointer", out / name, corpus, out, {"gpt": engine})
    Distributed().close()
    leave(0)
