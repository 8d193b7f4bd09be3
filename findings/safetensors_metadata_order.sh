#!/bin/sh
# safetensors 0.8.0 writes the same tensors and metadata as different bytes at each call.
#
# The entries of `metadata` come in the order of a hash map with a random seed. With one entry the
# files are equal; with several, caches and checksums of equal content differ.
#
# Seen with: safetensors 0.8.0, numpy 2.4.6, Python 3.11, Linux.
# Seen: several SHA-256 for 12 files of equal content; one SHA-256 with a single entry.
# Expected: equal content in equal order of its entries is equal bytes.
# Exit: 0 = still so; 1 = behaves otherwise now; 2 = could not be tried.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env || exit 2
env/bin/pip install --quiet "safetensors==0.8.0" "numpy==2.4.6" || exit 2
cat > try.py <<'PY'
import hashlib

import numpy
from safetensors.numpy import save

tensors = {"weight": numpy.zeros(4, dtype=numpy.float32)}


def sums(num_entries):
    metadata = {f"key{number}": "value" for number in range(num_entries)}
    return {hashlib.sha256(save(tensors, metadata)).hexdigest() for _ in range(12)}


one, many = len(sums(1)), len(sums(8))
print("different files of 12, one entry:", one)
print("different files of 12, eight entries:", many)
raise SystemExit(0 if one == 1 and many > 1 else 1)
PY
env/bin/python try.py
