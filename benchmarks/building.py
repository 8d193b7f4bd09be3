"""BENCHMARKS row 15: building a corpus, audio-hours per hour.

    python -m benchmarks.building [--quick] [--rounds 7] [--out runs/bench]

One core, process time: `build_corpus` over 16-bit WAV files of 44.1 kHz, with all checks, journal,
spool, shards, indexes and statistics. Limit: decode, resample, measure and apply loudness, encode
FLAC, of the same bytes in memory, every clip forgotten at once. Each step alone stands beside. Two
cores, wall time: two workers against none. Peer: lhotse's recipe is not timed here.
"""

from __future__ import annotations

import io
import shutil
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.harness import Row, ratios
from benchmarks.options import Options, read_options
from gsv2.audio.bandwidth import measure_bandwidth
from gsv2.audio.clipping import clipped_share
from gsv2.audio.level import apply_level, measure_level
from gsv2.audio.noise import estimate_snr
from gsv2.audio.wave import load_wave, save_wave
from gsv2.data.building.build import build_corpus
from gsv2.data.building.build_run import BuildRun
from gsv2.data.building.readers.reader import ReadingOptions
from gsv2.data.corpus.format import SAMPLE_RATE

NUM_CLIPS = 200
QUICK_CLIPS = 6
SECONDS = 6.0
FILE_RATE = 44_100
SHARE_OF_LIMIT = 0.7
READING = ReadingOptions(reader="folder")


def main() -> None:
    """Measure and print the row."""
    options = read_options(__doc__)
    num_clips = QUICK_CLIPS if options.quick else NUM_CLIPS
    with tempfile.TemporaryDirectory() as folder, Row(15, "building", options) as row:
        root = Path(folder)
        files = _write_recordings(root / "in", num_clips)
        content = [path.read_bytes() for path in files]
        hours = num_clips * SECONDS / 3600
        _compare_on_one_core(row, root, content, hours)
        _compare_workers(row, root, hours, options)
        _measure_steps(row, content, hours)
        row.note(f"{num_clips} clips of {SECONDS:g} s at {FILE_RATE} Hz, in the page cache.")


def _write_recordings(root: Path, count: int) -> list[Path]:
    """Write noise in syllables, ten speakers, with texts; return the audio files."""
    rng = np.random.default_rng(0)
    time_sec = np.arange(round(SECONDS * FILE_RATE)) / FILE_RATE
    envelope = 0.1 * np.maximum(np.sin(2 * np.pi * 2.5 * time_sec), 0)
    paths = []
    for number in range(count):
        path = root / "en" / f"s{number % 10}" / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_wave(path, envelope * rng.standard_normal(len(envelope)), FILE_RATE)
        path.with_suffix(".txt").write_text(f"This is what clip number {number} of many says.")
        paths.append(path)
    return paths


def _build(root: Path, workers: int = 0) -> int:
    """Build the corpus; return its clips."""
    out = root / f"corpus{workers}"
    shutil.rmtree(out, ignore_errors=True)
    return build_corpus(root / "in", out, reading=READING, run=BuildRun(workers=workers)).num_clips


def _encode_alone(content: list[bytes]) -> int:
    """Do what no build can leave out; return the clips."""
    for audio in content:
        wave = load_wave(audio, SAMPLE_RATE)
        apply_level(wave, measure_level(wave, SAMPLE_RATE))
        save_wave(io.BytesIO(), wave, SAMPLE_RATE)
    return len(content)


def _compare_on_one_core(row: Row, root: Path, content: list[bytes], hours: float) -> None:
    assert _build(root) == _encode_alone(content)
    times = row.alternate(
        {"the limit": partial(_encode_alone, content), "gsv2": partial(_build, root)}
    )
    for name, seconds in times.items():
        row.figure(name, [3600 * hours / duration for duration in seconds], "audio-hours/h")
    share = ratios(times["the limit"], times["gsv2"])
    row.target("share of the limit, one core", share, at_least=SHARE_OF_LIMIT)


def _compare_workers(row: Row, root: Path, hours: float, options: Options) -> None:
    times = row.alternate(
        {"no worker": partial(_build, root), "two workers": partial(_build, root, 2)},
        clock=time.perf_counter,
    )
    two = [3600 * hours / duration for duration in times["two workers"]]
    row.figure("two workers, wall time", two, "audio-hours/h")
    row.figure("two workers x none, wall time", ratios(times["no worker"], times["two workers"]))


def _measure_steps(row: Row, content: list[bytes], hours: float) -> None:
    """Report how fast each step is alone."""
    waves = [load_wave(audio, SAMPLE_RATE) for audio in content]
    steps = {
        "decode and resample": lambda: [load_wave(audio, SAMPLE_RATE) for audio in content],
        "loudness": lambda: [measure_level(wave, SAMPLE_RATE) for wave in waves],
        "FLAC": lambda: [save_wave(io.BytesIO(), wave, SAMPLE_RATE) for wave in waves],
        "bandwidth": lambda: [measure_bandwidth(wave, SAMPLE_RATE) for wave in waves],
        "noise": lambda: [estimate_snr(wave, SAMPLE_RATE) for wave in waves],
        "clipping": lambda: [clipped_share(wave) for wave in waves],
    }
    for name, seconds in row.alternate(steps).items():
        row.figure(f"{name} alone", [3600 * hours / t for t in seconds], "audio-hours/h")


if __name__ == "__main__":
    main()
