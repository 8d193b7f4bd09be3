"""Check all ranks of a run before the run, under the launcher that will start it.

    python launch/node.py --ranks 8 -- launch/preflight.py configs/gpt/base.yaml run.name=big

Same code, versions, config and environment on all ranks; devices, shared memory, limits, clocks;
first and last shard of every source; a run folder that all see, a checkpoint target that can be
written; sums over the ranks, right and how fast. Prints one table; exits with 1 if something must
be mended.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from gsv2.preflight.all_ranks import check_all_ranks
from gsv2.preflight.machine import require_devices
from gsv2.preflight.report import Finding
from gsv2.training.distributed.ranks import Distributed, leave


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, and print what was found."""
    parser = argparse.ArgumentParser(description="Check all ranks of a run before the run.")
    parser.add_argument("config", type=Path, help="YAML file of the run")
    parser.add_argument("overrides", nargs="*", help="section.key=value")
    options = parser.parse_args(arguments)
    try:
        local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        on_cpu = os.environ.get("ACCELERATE_USE_CPU", "false").lower() in ("1", "true", "yes")
        granted = int(os.environ.get("SLURM_GPUS_ON_NODE") or 0)
        require_devices(local, on_cpu=on_cpu, granted=granted)
        ranks = Distributed()
    except ValueError as error:
        sys.stderr.write(f"launch/preflight.py: error: {error}\n")
        return 1
    findings = check_all_ranks(options.config, options.overrides, ranks)
    if ranks.is_main:
        _print_table(findings)
    ranks.close()
    return int(any(found.status == "fail" for found in findings))


def _print_table(findings: Sequence[Finding]) -> None:
    width = max(len(found.name) for found in findings)
    for found in findings:
        print(f"{found.status:<4}  {found.name:<{width}}  {found.detail}")
    failures = sum(found.status == "fail" for found in findings)
    print(f"preflight: {failures} to mend" if failures else "preflight: ready", flush=True)


if __name__ == "__main__":
    leave(main())
