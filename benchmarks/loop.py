"""BENCHMARKS row 12: our loop against a bare one, on one process and on two gloo ranks.

    python -m benchmarks.loop [--quick] [--rounds 7] [--out runs/bench]

A transformer of 3 layers x 192 takes steps of two micro-batches on the CPU, one thread a rank,
with the same data, AdamW and clipping. Ours: the Trainer as it is (finite check, ledger, positions,
quarantine, signals, a row every 10 steps). Peers: the least loop that torch needs (raw DDP on
ranks), and a bare Accelerate loop. The weights at the end must agree within 1e-5 before a time
counts, and the losses of one and two ranks too. Wall time a step, of the slowest rank; start and
end of a run are not counted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.harness import Row, ratios
from benchmarks.options import Options, read_options

MAX_OF_BARE = 1.05
MAX_LOSS_DIFFERENCE = 1e-5
WIDTH = 192


def main() -> None:
    """Measure and report."""
    options = read_options(__doc__)
    with Row(12, "training loop", options) as row, tempfile.TemporaryDirectory() as folder:
        found = {world: run_worker(world, Path(folder), options) for world in (1, 2)}
        for world, values in found.items():
            times = values["times"]
            place = "one process" if world == 1 else "two gloo ranks"
            for name, seconds in times.items():
                row.figure(f"{place}: {name}", [1e3 * value for value in seconds], "ms a step")
            bare = "bare torch" if world == 1 else "raw DDP"
            for name, peer in (("torch", bare), ("accelerate", "bare Accelerate")):
                of_peer = ratios(times["gsv2"], times[name])
                row.target(f"{place}: gsv2 / {peer}", of_peer, at_most=MAX_OF_BARE)
        difference = abs(found[1]["loss"] - found[2]["loss"])
        row.target("loss of two ranks - of one", difference, at_most=MAX_LOSS_DIFFERENCE)


def run_worker(world: int, folder: Path, options: Options) -> dict[str, Any]:
    """Run the contenders on `world` ranks; return times and loss."""
    module = "benchmarks._loop_worker"
    arguments = [str(folder), str(options.rounds), str(32 if options.quick else WIDTH)]
    ranks = ["torch.distributed.run", "--nproc-per-node", str(world), "--rdzv-backend", "c10d",
             "--rdzv-endpoint", "localhost:0", "-m"]  # fmt: skip
    command = [sys.executable, "-m", *(ranks if world > 1 else []), module, *arguments]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    subprocess.run(command, check=True, env=env)
    return json.loads((folder / f"ranks-{world}.json").read_text())


if __name__ == "__main__":
    main()
