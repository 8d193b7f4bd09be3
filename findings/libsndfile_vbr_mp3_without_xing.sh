#!/bin/sh
# libsndfile reads a part of a variable-rate MP3 that has no Xing table, and says nothing.
#
# The table of frames at the start of an MP3 is optional, and an encoder that writes into a pipe
# cannot fill it in. Without it the length is guessed from the first bit rates, and the guess ends the
# reading as well: the frames after it are never decoded.
#
# Seen with: soundfile 0.14.0 (libsndfile 1.2.2 of its wheel), numpy 2.4.6, Python 3.11, Linux x86_64.
# Seen: 39073 of 176400 frames for a file that opens with a second of noise; with the table, all.
# Expected: all frames, or an error.
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

RATE = 44_100
SECONDS = 4
# MPEG-1 layer III, ISO/IEC 11172-3, 2.4.2.3
KBIT = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
SAMPLES_PER_FRAME = 1152


def frames_of(mp3):
    """Yield the MPEG frames of a file."""
    start = 0
    while start < len(mp3):
        assert mp3[start] == 0xFF, "a frame begins with its sync word"
        padding = mp3[start + 2] >> 1 & 1
        size = 144 * 1000 * KBIT[mp3[start + 2] >> 4] // RATE + padding
        yield mp3[start : start + size]
        start += size


time = numpy.arange(SECONDS * RATE) / RATE
wave = 0.3 * numpy.sin(2 * numpy.pi * 220 * time)
wave[:RATE] = 0.3 * numpy.random.default_rng(0).standard_normal(RATE)  # costs more bits than a tone
file = io.BytesIO()
soundfile.write(file, wave, RATE, format="MP3", bitrate_mode="VARIABLE", compression_level=0.2)
table, *audio = frames_of(file.getvalue())
assert b"Xing" in table
there = len(soundfile.read(io.BytesIO(file.getvalue()))[0])
without = soundfile.SoundFile(io.BytesIO(b"".join(audio)))
claimed, read = without.frames, len(without.read())
print(soundfile.__libsndfile_version__)
print("samples in the MPEG frames:", len(audio) * SAMPLES_PER_FRAME)
print("read with the table:", there, "without it:", read, "of claimed", claimed)
assert there == SECONDS * RATE
raise SystemExit(0 if read == claimed < there // 2 else 1)
PY
env/bin/python try.py
