#!/bin/sh
# `accelerate launch --cpu --num_processes 2` starts one process, and says nothing.
#
# So does a config file of `distributed_type: MULTI_CPU` with `num_processes: 2`. The number is read
# (MASTER_ADDR and MASTER_PORT are set for the child), but neither a second process is started nor is
# the number in the environment, so the script cannot notice. Only `--mpirun_hostfile` starts more.
#
# Seen with: accelerate 1.15.0, torch 2.14.1, Python 3.11, Linux x86_64.
# Seen: one process with num_processes 1, exit code 0, no warning, for flags and file alike.
# Expected: two processes, or an error that names what is missing.
# Exit: 0 = still so; 1 = behaves otherwise now; 2 = could not be tried. Several GB are installed.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env || exit 2
env/bin/pip install --quiet "accelerate==1.15.0" "torch==2.14.1" "numpy==2.4.6" || exit 2
cat > child.py <<'PY'
import os
import sys

from accelerate import Accelerator

told = sorted(key for key in os.environ if "NUM_PROC" in key or "WORLD_SIZE" in key)
with open(sys.argv[1], "a") as out:
    out.write(f"num_processes {Accelerator().num_processes}, told by {told}\n")
PY
cat > multi_cpu.yaml <<'YAML'
compute_environment: LOCAL_MACHINE
distributed_type: MULTI_CPU
machine_rank: 0
mixed_precision: 'no'
num_machines: 1
num_processes: 2
use_cpu: true
YAML
launch="env/bin/python -m accelerate.commands.launch"
$launch --cpu --num_processes 2 --num_machines 1 --mixed_precision no --dynamo_backend no \
  child.py flags.txt
$launch --config_file multi_cpu.yaml child.py file.txt
for name in flags file; do
  echo "$name: $(cat $name.txt)"
  [ "$(cat $name.txt)" = "num_processes 1, told by []" ] || exit 1
done
