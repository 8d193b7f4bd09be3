"""BENCHMARKS row 15: building a corpus, audio-hours per hour.

    python -m benchmarks.building [--quick] [--rounds 7] [--out runs/bench] [--against REV]

Input: 16-bit WAV files of 44.1 kHz in the page cache, with texts. One core, process time:
`build_corpus`, with all checks, journal, spool, shards, indexes and statistics. Limit: decode,
resample, measure and apply loudness, encode FLAC, of the same bytes in memory, every clip forgotten
at once. Peer: lhotse's recipe of LJSpeech, its lazy resampling and loudness, its shards of FLAC; it
has none of the checks, and no true-peak limit. Two cores, wall time: two workers against none, and
against the build before this one (`REV`) by its script, both without a page; this build has more
checks. Each step alone, on both.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from benchmarks.harness import Row, ratios
from benchmarks.options import option_parser, options_of
from benchmarks.revisions import ROOT, worktree
from benchmarks.workers import start_worker
from gsv2.audio.bandwidth import measure_bandwidth
from gsv2.audio.clipping import clipped_share
from gsv2.audio.fingerprint import fingerprint
from gsv2.audio.level import apply_level, measure_level
from gsv2.audio.noise import estimate_snr
from gsv2.audio.wave import TARGET_LUFS, load_wave, save_wave
from gsv2.audio.windowed_spectrum import windowed_spectrum
from gsv2.data.building.build import build_corpus
from gsv2.data.building.build_run import BuildRun
from gsv2.data.building.readers.reader import ReadingOptions
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.heap import set_thresholds

NUM_CLIPS = 120
QUICK_CLIPS = 6
SECONDS = 6.0
FILE_RATE = 44_100
SHARE_OF_LIMIT = 0.7
BEFORE = "1b62dbd"
LEAST_RATIO = 3.0
READING = ReadingOptions(reader="folder")
CORES = 2
_WORKER = Path(__file__).with_name("_building_worker.py")

_spectrum = partial(windowed_spectrum, sample_rate=SAMPLE_RATE)

STEPS: Mapping[str, Callable[[bytes, np.ndarray], object]] = {
    "decode and resample": lambda audio, _: load_wave(audio, SAMPLE_RATE),
    "loudness": lambda _, wave: measure_level(wave, SAMPLE_RATE),
    "FLAC": lambda _, wave: save_wave(io.BytesIO(), wave, SAMPLE_RATE),
    "spectrum and bandwidth": lambda _, wave: measure_bandwidth(_spectrum(wave)),
    "noise": lambda _, wave: estimate_snr(wave, SAMPLE_RATE),
    "clipping": lambda _, wave: clipped_share(wave),
    "spectrum and fingerprint": lambda _, wave: fingerprint(_spectrum(wave)),
}
"""Step -> what it does with the bytes of a file, and with its wave [N] float32."""
_clips: list[tuple[bytes, np.ndarray]] = []


def main() -> None:
    """Measure and print the row."""
    parser = option_parser(__doc__)
    parser.add_argument("--against", default=BEFORE, metavar="REV", help=f"default: {BEFORE}")
    options, given = options_of(parser)
    set_thresholds()  # as the program does; the environment stays as it is for the build before
    num_clips = QUICK_CLIPS if options.quick else NUM_CLIPS
    with tempfile.TemporaryDirectory() as folder, Row(15, "building", options) as row:
        root = Path(folder)
        files = _write_recordings(root / "in", num_clips)
        content = [path.read_bytes() for path in files]
        hours = num_clips * SECONDS / 3600
        _compare_on_one_core(row, root, content, hours)
        _compare_workers(row, root, hours)
        _compare_builds(row, root, hours, given.against)
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


def _build_by_lhotse(root: Path) -> int:
    """Do the same by lhotse, from links in LJSpeech's layout; return the clips."""
    from lhotse import CutSet
    from lhotse.recipes.ljspeech import prepare_ljspeech

    shutil.rmtree(root / "shar", ignore_errors=True)
    (root / "shar").mkdir()
    manifests = prepare_ljspeech(root / "ljspeech")
    cuts = CutSet.from_manifests(**manifests).resample(SAMPLE_RATE)
    cuts = cuts.normalize_loudness(TARGET_LUFS)
    cuts.to_shar(root / "shar", fields={"recording": "flac"})
    return len(manifests["recordings"])


def _link_ljspeech(root: Path) -> None:
    """Give the recordings the layout of LJSpeech."""
    (root / "ljspeech" / "wavs").mkdir(parents=True)
    lines = []
    for path in sorted((root / "in").rglob("*.wav")):
        os.link(path, root / "ljspeech" / "wavs" / path.name)
        text = path.with_suffix(".txt").read_text()
        lines.append(f"{path.stem}|{text}|{text}\n")
    (root / "ljspeech" / "metadata.csv").write_text("".join(lines))


def _encode_alone(content: list[bytes]) -> int:
    """Do what no build can leave out; return the clips."""
    for audio in content:
        wave = load_wave(audio, SAMPLE_RATE)
        apply_level(wave, measure_level(wave, SAMPLE_RATE))
        save_wave(io.BytesIO(), wave, SAMPLE_RATE)
    return len(content)


def _compare_on_one_core(row: Row, root: Path, content: list[bytes], hours: float) -> None:
    contenders: dict[str, Callable[[], int]] = {
        "the limit": partial(_encode_alone, content), "gsv2": partial(_build, root)
    }  # fmt: skip
    if find_spec("lhotse") is None:
        row.note("lhotse is not installed (extra bench): no peer.")
    else:
        _link_ljspeech(root)
        contenders["lhotse"] = partial(_build_by_lhotse, root)
    assert {contender() for contender in contenders.values()} == {len(content)}
    times = row.alternate(contenders)
    for name, seconds in times.items():
        row.figure(f"{name}, one core", _rates(hours, seconds), "audio-hours/h")
    share = ratios(times["the limit"], times["gsv2"])
    row.target("share of the limit, one core", share, at_least=SHARE_OF_LIMIT)
    if "lhotse" in times:
        row.figure("x lhotse, one core", ratios(times["lhotse"], times["gsv2"]))


def _compare_workers(row: Row, root: Path, hours: float) -> None:
    times = row.alternate(
        {"no worker": partial(_build, root), "two workers": partial(_build, root, CORES)},
        clock=time.perf_counter,
    )
    row.figure("two workers, wall time", _rates(hours, times["two workers"]), "audio-hours/h")
    row.figure("two workers x none, wall time", ratios(times["no worker"], times["two workers"]))


def _compare_builds(row: Row, root: Path, hours: float, revision: str) -> None:
    """Compare two workers of this build with those of another, each as its script runs."""
    with worktree(revision, root / "other") as other:
        places = {"this build": ROOT, revision: other}
        asked = {
            name: [str(root / "in"), str(root / name.replace(" ", "_")), str(CORES)]
            for name in places
        }
        with (
            start_worker(ROOT, _WORKER, asked["this build"]) as ours,
            start_worker(other, _WORKER, asked[revision]) as theirs,
        ):
            workers = {"this build": ours, revision: theirs}
            clips = {worker.ask("build")["clips"] for worker in workers.values()}
            assert len(clips) == 1, f"the builds make {clips} clips"
            times: dict[str, list[float]] = {name: [] for name in workers}
            for turn in range(row.options.rounds):
                for name in list(workers)[:: 1 if turn % 2 else -1]:
                    times[name].append(workers[name].ask("build")["wall_sec"])
    for name, seconds in times.items():
        row.figure(f"{name}: script, two workers", _rates(hours, seconds), "audio-hours/h")
    gain = ratios(times[revision], times["this build"])
    row.target(f"this build x {revision}, two cores, wall time", gain, at_least=LEAST_RATIO)


def _measure_steps(row: Row, content: list[bytes], hours: float) -> None:
    """Report how fast each step is alone, on one core and on two."""
    _take(content)
    halves = [range(core, len(content), CORES) for core in range(CORES)]
    everything = range(len(content))
    alone = row.alternate({name: partial(_step, name, everything) for name in STEPS})
    with ProcessPoolExecutor(CORES, initializer=_take, initargs=(content,)) as pool:
        both = row.alternate(
            {name: lambda n=name: list(pool.map(partial(_step, n), halves)) for name in STEPS},
            clock=time.perf_counter,
        )
    for name in STEPS:
        row.figure(f"{name} alone, one core", _rates(hours, alone[name]), "audio-hours/h")
        row.figure(f"{name} alone, two cores", _rates(hours, both[name]), "audio-hours/h")


def _take(content: list[bytes]) -> None:
    """Hold the files of all clips and their waves in this process."""
    _clips[:] = [(audio, load_wave(audio, SAMPLE_RATE)) for audio in content]


def _step(name: str, numbers: Sequence[int]) -> None:
    """Do a step for some of the clips."""
    for number in numbers:
        STEPS[name](*_clips[number])


def _rates(hours: float, seconds: Sequence[float]) -> list[float]:
    """Return audio-hours per hour of each round."""
    return [3600 * hours / duration for duration in seconds]


if __name__ == "__main__":
    main()
