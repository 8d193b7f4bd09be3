#!/bin/sh
# soundfile says that a FLAC file of unknown length has 2^63 - 1 frames, and cannot read it whole.
#
# RFC 9639 (section 8.2) lets `total samples` of STREAMINFO be 0 for "unknown", as encoders write it
# into a pipe. `read` and `blocks` go by the length.
#
# Seen with: soundfile 0.14.0 (libsndfile 1.2.2 of its wheel), numpy 2.4.6, Python 3.11, Linux x86_64.
# Seen: frames = 9223372036854775807; read() raises ValueError "array is too big"; read in blocks of
#   4096, 45056 of 48000 frames come, then LibsndfileError "Internal psf_fseek() failed".
# Expected: a length that is marked as unknown, and a read that ends where the stream does.
# Exit: 0 = still so; 1 = behaves otherwise now; 2 = could not be tried.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env || exit 2
env/bin/pip install --quiet "soundfile==0.14.0" "numpy==2.4.6" || exit 2
cat > try.py <<'PY'
import io

import numpy
import soundfile

RATE = 48_000
wave = 0.3 * numpy.sin(numpy.arange(RATE) / 9)
file = io.BytesIO()
soundfile.write(file, wave, RATE, format="FLAC")
flac = bytearray(file.getvalue())
# 4 bytes "fLaC", 4 of the block's header, 13 of STREAMINFO; then 4 + 32 bits of total samples
assert flac[:4] == b"fLaC" and int.from_bytes(flac[21:26], "big") & (2**36 - 1) == RATE
flac[21] &= 0xF0
flac[22:26] = bytes(4)


def opened():
    return soundfile.SoundFile(io.BytesIO(bytes(flac)))


claimed = opened().frames
try:
    whole = f"{len(opened().read())} frames"
except ValueError as error:
    whole = f"{type(error).__name__}: {error}"
read, end = 0, "the end"
try:
    for block in opened().blocks(blocksize=4096):
        read += len(block)
except soundfile.LibsndfileError as error:
    end = f"{type(error).__name__}: {error}"
print(soundfile.__libsndfile_version__)
print("frames:", claimed)
print("read():", whole)
print("blocks():", read, "frames, then", end)
refused = whole.startswith("ValueError") and end.startswith("LibsndfileError")
raise SystemExit(0 if claimed == 2**63 - 1 and refused and read < RATE else 1)
PY
env/bin/python try.py
