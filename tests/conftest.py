"""A tiny corpus for every test that needs one."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from gsv2.audio.wave import save_wave
from gsv2.data.building.codes import write_codes
from gsv2.data.building.shards import ClipRecord, ShardConfig, write_corpus
from gsv2.data.config import SourceConfig
from gsv2.data.corpus.format import HOP_LENGTH, SAMPLE_RATE
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.stream.reader import read_clips
from gsv2.inference.bundle import export_bundle
from tests.support.forked_runs import ForkedRuns
from tests.support.shared_folder import shared_folder
from tests.support.tiny_bundle import save_parts

TINY_SCALE = 0.02
"""Fraction of corpus and steps of `tiny_quickstart`."""
LONG = {"docs", "integration", "launch"}
"""Folders of tests that take minutes."""


def pytest_configure() -> None:
    """One thread a process: two that spin beside another's make a step take ten times as long."""
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that no worker ends long after the others."""
    items.sort(key=lambda item: not LONG.intersection(item.path.parts))


def pytest_collection_finish() -> None:
    """Full garbage collections do not go through all that is imported."""
    gc.freeze()


TEXTS = {
    "en": "The quick fox number {} jumps over the lazy dog.",
    "zh": "今天是第{}个好天气。",
}


def synthetic_wave(seconds: float, pitch_hz: float, rng: np.random.Generator) -> np.ndarray:
    """Return [N] float32: a gliding pitch with harmonics under syllables, and noise."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    glide = 1.0 + 0.1 * np.sin(2 * np.pi * rng.uniform(0.5, 2.0) * time)
    phase = 2 * np.pi * np.cumsum(pitch_hz * glide) / SAMPLE_RATE
    voiced = sum(np.sin(n * phase + rng.uniform(0, 6)) / n for n in range(1, 9))
    envelope = 0.5 - 0.5 * np.cos(2 * np.pi * rng.uniform(3, 5) * time)
    noise = rng.standard_normal(len(time))
    return (0.1 * envelope * voiced + 0.005 * noise).astype(np.float32)


def synthetic_clips(
    num_clips: int,
    *,
    num_speakers: int = 3,
    seconds: tuple[float, float] = (0.6, 1.6),
    seed: int = 0,
) -> Iterator[ClipRecord]:
    """Yield clips of `num_speakers` speakers, the odd ones of which speak zh, the others en."""
    rng = np.random.default_rng(seed)
    for number in range(num_clips):
        speaker = number % num_speakers
        language = "zh" if speaker % 2 else "en"
        yield ClipRecord(
            key=f"clip{number:04d}",
            wave=synthetic_wave(rng.uniform(*seconds), 100.0 + 60.0 * speaker, rng),
            text=TEXTS[language].format(number),
            language=language,
            speaker=f"speaker{speaker}",
            source="synthetic",
            licence="CC0-1.0",
        )


def make_corpus(path: Path, num_clips: int = 12, **options: object) -> Path:
    """Write a corpus of `synthetic_clips`; options of `ShardConfig` go there."""
    shard_options = {k: v for k, v in options.items() if k in ShardConfig.__dataclass_fields__}
    clip_options = {k: v for k, v in options.items() if k not in shard_options}
    if "seed" in options:
        clip_options["seed"] = options["seed"]
    config = ShardConfig(**shard_options)
    write_corpus(synthetic_clips(num_clips, **clip_options), path, config)
    return path


def make_codes(
    corpus: Path,
    out: Path,
    *,
    num_codebooks: int = 2,
    codebook_size: int = 1024,
    quantizer: str = "0" * 64,
    seed: int = 0,
) -> Path:
    """Write random 25 Hz codes for all clips of a corpus."""
    rng = np.random.default_rng(seed)

    def codes() -> Iterator[tuple[str, str, np.ndarray]]:
        for clip in read_clips(CorpusIndex.open(SourceConfig(path=str(corpus))), ["audio"]):
            frames = -(-(len(clip.wave) // HOP_LENGTH) // 2)
            shape = (num_codebooks, frames)
            yield clip.shard, clip.key, rng.integers(codebook_size, size=shape)

    write_codes(corpus, out, codes(), quantizer)
    return out


@dataclass(frozen=True)
class TinyCorpus:
    """12 clips of about a second, 3 speakers, 2 languages."""

    path: Path
    codes: Path
    """Sidecar with random codes, 2 codebooks of 1024, quantizer hash "000...0"."""

    @property
    def source(self) -> SourceConfig:
        """Audio only."""
        return SourceConfig(path=str(self.path))

    @property
    def source_with_codes(self) -> SourceConfig:
        """Audio and codes."""
        return SourceConfig(path=str(self.path), codes=str(self.codes))


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """Undo an ignored SIGINT, which background jobs of a shell inherit and hand on."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def tiny_corpus(tmp_path_factory: pytest.TempPathFactory) -> TinyCorpus:
    """A corpus that all tests share; do not write to it."""

    def make(root: Path) -> None:
        make_codes(make_corpus(root / "corpus"), root / "codes")

    root = shared_folder(tmp_path_factory, "tiny_corpus", make)
    return TinyCorpus(path=root / "corpus", codes=root / "codes")


@pytest.fixture(scope="session", name="make_corpus")
def make_corpus_fixture() -> Callable[..., Path]:
    """`make_corpus(path, num_clips=12, num_speakers=3, seconds=(0.6, 1.6), seed=0, ...)`."""
    return make_corpus


@pytest.fixture(scope="session", name="make_codes")
def make_codes_fixture() -> Callable[..., Path]:
    """`make_codes(corpus, out, num_codebooks=2, codebook_size=1024, quantizer=HASH, seed=0)`."""
    return make_codes


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of untrained parts; do not write to it."""
    root = tmp_path_factory.mktemp("bundle")
    return export_bundle([save_parts(root / "parts")], root / "bundle")


@pytest.fixture(scope="session")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of 1.5 s."""
    path = tmp_path_factory.mktemp("voice") / "voice.wav"
    save_wave(path, synthetic_wave(1.5, 140.0, np.random.default_rng(0)), SAMPLE_RATE)
    return path


@pytest.fixture(scope="session")
def forked_runs() -> Iterator[ForkedRuns]:
    """Forks runs and ranks."""
    with ForkedRuns() as forked_runs:
        yield forked_runs


@pytest.fixture(scope="session")
def tiny_quickstart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a quickstart leaves: the shipped debug configs, few steps, few held-out clips.

    For all tests that need trained parts; do not write to it.
    """
    return shared_folder(tmp_path_factory, "tiny_quickstart", _run_tiny_quickstart)


def _run_tiny_quickstart(out: Path) -> None:
    from gsv2.quickstart import demo_plan, pipeline, summary

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo_plan, "HELDOUT_CLIPS_PER_VOICE", 2)
        patch.setattr(summary, "NUM_SENTENCES", 2)
        patch.setattr(summary, "MEL_BATCHES", 2)
        pipeline.run_quickstart(out, scale=TINY_SCALE)
