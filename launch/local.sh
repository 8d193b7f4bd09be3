#!/usr/bin/env bash
# Train one stage on N ranks of this machine: GPUs if there are N, CPU cores otherwise.
#   launch/local.sh 2 configs/quantizer/debug.yaml data.micro_batches_per_step=2
set -euo pipefail

if [[ $# -lt 2 ]]; then
  echo "usage: $0 RANKS CONFIG [section.key=value ...]" >&2
  exit 2
fi
ranks=$1
shift

gpus=$(python -c 'import torch; print(torch.cuda.device_count())')
if ((gpus < ranks)); then
  export ACCELERATE_USE_CPU=true
fi

options=(--num_processes "$ranks" --num_machines 1 --mixed_precision no --dynamo_backend no)
if ((ranks > 1)); then
  # Also for CPU ranks: with --cpu, Accelerate 1.15 silently starts one process.
  options+=(--multi_gpu --main_process_port 0)
fi
exec accelerate launch "${options[@]}" -m gsv2.train "$@"
