#!/usr/bin/env bash
# Train one stage on N ranks of this machine: GPUs if there are N, CPU cores otherwise.
#   launch/local.sh 2 configs/quantizer/debug.yaml data.micro_batches_per_step=2
# Ctrl-C stops it; after SIGTERM or SIGUSR1 it writes a checkpoint and exits with 85; what else comes
# in the minute after that is ignored.
set -euo pipefail

if [[ $# -lt 2 ]]; then
  echo "usage: $0 RANKS CONFIG [section.key=value ...]" >&2
  exit 2
fi
ranks=$1
shift
if [[ ! $ranks =~ ^[1-9][0-9]*$ ]]; then
  echo "$0: RANKS must be a number of 1 or more, but is '$ranks'" >&2
  exit 2
fi

gpus=$(python -c 'import torch; print(torch.cuda.device_count())')
if ((gpus < ranks)); then
  export ACCELERATE_USE_CPU=true
  if ((gpus > 0)); then
    echo "$0: $ranks ranks, but $gpus GPUs: all compute on CPU cores" >&2
  fi
fi
exec python "$(dirname "$0")/node.py" --nodes 1 --ranks "$ranks" -- -m gsv2.train "$@"
