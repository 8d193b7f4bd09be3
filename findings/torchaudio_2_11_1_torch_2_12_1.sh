#!/bin/sh
# torchaudio 2.11.1 is installed beside torch 2.12.1 and cannot be imported there.
#
# torchaudio 2.11.1 declares `torch>=2.11`, so an installer calls the pair whole. Its library asks
# the loader for a function that torch 2.12.1 does not export.
#
# Seen with: torchaudio 2.11.1, torch 2.12.1, Python 3.11, Linux x86_64.
# Seen: `import torchaudio` raises OSError, "Could not load this library: .../libtorchaudio.so", caused by
#   "undefined symbol: torch_exception_get_what_without_backtrace"; `pip check` is content.
# Expected: a requirement that excludes torch 2.12.1, or a library that loads beside it.
# Exit: 0 = still so; 1 = behaves otherwise now; 2 = could not be tried. Several GB are installed.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env || exit 2
env/bin/pip install --quiet "torch==2.12.1" "torchaudio==2.11.1" || exit 2
env/bin/pip check || exit 1
cat > try.py <<'PY'
import torch

print("torch", torch.__version__)
try:
    import torchaudio
except (OSError, ImportError) as error:
    text, cause = "", error
    while cause is not None:
        text, cause = f"{text} {cause}", cause.__cause__ or cause.__context__
    missing = "torch_exception_get_what_without_backtrace"
    print("import torchaudio:", type(error).__name__, "names", missing if missing in text else text)
    raise SystemExit(0 if missing in text else 1)
print("torchaudio", torchaudio.__version__, "was imported")
raise SystemExit(1)
PY
env/bin/python try.py
