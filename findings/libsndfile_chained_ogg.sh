#!/bin/sh
# libsndfile reads the first stream of a chained Ogg file and says nothing of the others.
#
# RFC 3533 (section 4) lets Ogg streams follow one another in a file, as internet radio and `cat`
# make them. 1.0 s and 2.0 s one after the other are given as 1.0 s, without an error.
#
# Seen with: soundfile 0.13.1 (libsndfile of its wheel), numpy 2.4.6, Python 3.11, Linux x86_64.
# Seen: 48000 frames of 144000, for Ogg Vorbis.
# Expected: all frames, or an error.
# Exit: 0 = still so; 1 = behaves otherwise now; 2 = could not be tried.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env || exit 2
env/bin/pip install --quiet "soundfile==0.13.1" "numpy==2.4.6" || exit 2
cat > try.py <<'PY'
import io

import numpy
import soundfile

RATE = 48_000
streams = []
for seconds, pitch in ((1, 220.0), (2, 330.0)):
    time = numpy.arange(seconds * RATE) / RATE
    stream = io.BytesIO()
    wave = 0.3 * numpy.sin(2 * numpy.pi * pitch * time)
    soundfile.write(stream, wave, RATE, format="OGG", subtype="VORBIS")
    streams.append(stream.getvalue())
alone = [len(soundfile.read(io.BytesIO(stream))[0]) for stream in streams]
together = len(soundfile.read(io.BytesIO(b"".join(streams)))[0])
print(soundfile.__libsndfile_version__)
print("frames of each stream alone:", alone, "of both in one file:", together)
assert alone == [RATE, 2 * RATE]
raise SystemExit(0 if together == alone[0] else 1)
PY
env/bin/python try.py
