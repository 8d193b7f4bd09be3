#!/bin/sh
# resemble-perth installs without its dependencies, and its watermarker is None without a word.
#
# The metadata name no requirement, though the package imports numpy, torch, torchaudio, librosa,
# scipy, yaml and pkg_resources, which setuptools no longer has. `perth/__init__.py` swallows the
# ImportError, so that `perth.PerthImplicitWatermarker()` ends in "'NoneType' object is not
# callable". An older setuptools alone does not help: the next missing module is swallowed too.
#
# Seen with: resemble-perth 1.0.1, numpy 2.4.6, setuptools 84.2.1 and 80.9.0, Python 3.11, Linux
# x86_64.
# Seen: None with both; hidden are "No module named 'pkg_resources'" and "No module named 'torch'".
# Expected: requirements in the metadata, or an error that names what is missing.
# Exit: 0 = still so; 1 = behaves otherwise now; 2 = could not be tried.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env || exit 2
env/bin/pip install --quiet "resemble-perth==1.0.1" "numpy==2.4.6" || exit 2
cat > try.py <<'PY'
import importlib
import importlib.metadata
import sys

import perth

print("requirements:", importlib.metadata.requires("resemble-perth"))
print("watermarker:", perth.PerthImplicitWatermarker)
try:
    importlib.import_module("perth.perth_net.perth_net_implicit.perth_watermarker")
    hidden = "nothing"
except ImportError as error:
    hidden = str(error)
print("hidden:", hidden)
is_silent = perth.PerthImplicitWatermarker is None and sys.argv[1] in hidden
raise SystemExit(0 if is_silent and importlib.metadata.requires("resemble-perth") is None else 1)
PY
for case in "84.2.1 pkg_resources" "80.9.0 torch"; do
  env/bin/pip install --quiet "setuptools==${case% *}" || exit 2
  echo "setuptools ${case% *}"
  env/bin/python -W ignore try.py "${case#* }" || exit 1
done
