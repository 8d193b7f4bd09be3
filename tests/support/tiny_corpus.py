"""A tiny corpus: pitches that glide, in two languages, and random codes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gsv2.data.building.codes import CodesOrigin, write_codes
from gsv2.data.building.shards import ClipRecord, ShardConfig, write_corpus
from gsv2.data.config import SourceConfig
from gsv2.data.corpus.format import HOP_LENGTH, SAMPLE_RATE
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.stream.reader import read_clips

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

    write_codes(corpus, out, codes(), CodesOrigin(quantizer))
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
