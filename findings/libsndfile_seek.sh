#!/bin/sh
# libsndfile seeks to another place than it is told in Ogg Vorbis, and now and then in MP3.
#
# sf_seek promises the frame that is asked for. Of 300 seeks in 6 s of a rising tone about a third
# give other samples than decoding from the beginning does, some for all that is read afterwards.
# FLAC, WAV and Opus are exact.
#
# Seen with: soundfile 0.14.0 (libsndfile of its wheel), numpy 2.4.6, Python 3.11, Linux x86_64.
# Seen: Vorbis 98 of 300, MP3 4 of 300, Opus and FLAC none.
# Expected: none.
# Exit: 0 = still so for Vorbis; 1 = behaves otherwise now; 2 = could not be tried.
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

wrong = {}
for kind, subtype, rate in (
    ("OGG", "VORBIS", 44_100),
    ("MP3", "MPEG_LAYER_III", 44_100),
    ("OGG", "OPUS", 48_000),
    ("FLAC", "PCM_16", 44_100),
):
    time = numpy.arange(6 * rate) / rate
    noise = numpy.random.default_rng(0).standard_normal(len(time))
    wave = 0.3 * numpy.sin(2 * numpy.pi * (200 * time + 150 * time**2)) + 0.01 * noise
    content = io.BytesIO()
    soundfile.write(content, wave, rate, format=kind, subtype=subtype)
    whole, _ = soundfile.read(io.BytesIO(content.getvalue()))
    file = soundfile.SoundFile(io.BytesIO(content.getvalue()))
    wrong[subtype] = 0
    for start in numpy.random.default_rng(1).integers(0, len(whole) - 12_000, 300):
        file.seek(int(start))
        difference = file.read(10_000) - whole[start : start + 10_000]
        wrong[subtype] += bool(numpy.abs(difference).max() > 1e-4)
print(soundfile.__libsndfile_version__, "seeks of 300 that lead elsewhere:", wrong)
assert wrong["PCM_16"] == 0
raise SystemExit(0 if wrong["VORBIS"] else 1)
PY
env/bin/python try.py
