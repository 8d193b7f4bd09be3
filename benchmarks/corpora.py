"""Corpora to measure on: synthetic, but with the sizes and lengths of real ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gsv2.data.building.codes import CodesOrigin, write_codes
from gsv2.data.building.encode import ClipRecord, ShardConfig
from gsv2.data.building.shards import write_corpus
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.data.corpus.index_columns import CLIP_SCHEMA
from gsv2.data.corpus.manifest import Manifest, ShardEntry, write_manifest
from gsv2.data.corpus.shard_writer import ShardWriter

CODE_RATE_HZ = 25.0
NUM_CODEBOOKS = 2
CODEBOOK_SIZE = 1024
CLIPS_OF_SHARD = 2500
CLIPS_OF_BLOCK = 16
_WORDS = "we all went down to the river that evening because nobody had told us otherwise".split()


def draw_seconds(num_clips: int, rng: np.random.Generator) -> np.ndarray:
    """Return [clips] durations of read speech: gamma, 6.5 s on average, 1 to 20 s."""
    return rng.gamma(3.0, 6.5 / 3.0, num_clips).clip(1.0, 20.0)


def write_token_corpus(root: Path, num_clips: int, seed: int = 0) -> tuple[Path, Path]:
    """Write a corpus of clips with random codes; its audio members are empty.

    Returns:
        The corpus, and the sidecar with the codes.
    """
    rng = np.random.default_rng(seed)
    seconds = draw_seconds(num_clips, rng)
    entries = list(_write_audio_tars(root / "corpus", seconds, rng))
    write_manifest(Manifest(shards=tuple(entries)), root / "corpus")

    def codes() -> Iterator[tuple[str, str, np.ndarray]]:
        for number, duration in enumerate(seconds.tolist()):
            shape = (NUM_CODEBOOKS, int(np.ceil(duration * CODE_RATE_HZ)))
            yield _shard_name(number), _key(number), rng.integers(CODEBOOK_SIZE, size=shape)

    write_codes(root / "corpus", root / "codes", codes(), CodesOrigin("0" * 64))
    return root / "corpus", root / "codes"


def write_audio_corpus(root: Path, num_clips: int, seed: int = 0) -> Path:
    """Write a corpus of 1 to 5 s of noise under syllables, by 12 speakers."""
    rng = np.random.default_rng(seed)

    def clips() -> Iterator[ClipRecord]:
        for number in range(num_clips):
            time_sec = np.arange(int(rng.uniform(1, 5) * SAMPLE_RATE)) / SAMPLE_RATE
            tone = np.sin(2 * np.pi * 150 * time_sec) * np.sin(9 * time_sec) ** 2
            wave = (0.1 * tone + 0.01 * rng.standard_normal(len(time_sec))).astype(np.float32)
            speaker = f"speaker{number % 12}"
            yield ClipRecord(
                key=_key(number), wave=wave, text="a clip of noise", language="en", speaker=speaker
            )

    write_corpus(clips(), root / "corpus", ShardConfig(shard_mb=8))
    return root / "corpus"


def _write_audio_tars(
    root: Path, seconds: np.ndarray, rng: np.random.Generator
) -> Iterator[ShardEntry]:
    for start in range(0, len(seconds), CLIPS_OF_SHARD):
        numbers = range(start, min(start + CLIPS_OF_SHARD, len(seconds)))
        with ShardWriter(root, _shard_name(start), CLIP_SCHEMA) as shard:
            for number in numbers:
                duration = float(seconds[number])
                text = " ".join(rng.choice(_WORDS, int(duration * 2.5)))  # words a second
                speaker = f"speaker{number // CLIPS_OF_BLOCK % 200:03d}"
                fields = {"text": text, "language": "en", "speaker": speaker}
                fields |= {"duration_sec": duration, "source": "synthetic", "licence": "CC0-1.0"}
                shard.add(
                    _key(number),
                    {"audio": b"", "json": json.dumps(fields).encode()},
                    block=(number - start) // CLIPS_OF_BLOCK,
                    speaker=speaker,
                    language="en",
                    duration_sec=duration,
                    num_samples=int(duration * SAMPLE_RATE),
                    text_bytes=len(text.encode()),
                )
            yield shard.finish(float(seconds[numbers.start : numbers.stop].sum()))


def _shard_name(number: int) -> str:
    """Return the shard of a clip."""
    return f"en/clips-{number // CLIPS_OF_SHARD:06d}"


def _key(number: int) -> str:
    return f"clip{number:07d}"
