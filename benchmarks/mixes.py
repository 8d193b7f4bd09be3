"""Three mixes of clip lengths, as indexes without tars: planning touches no audio."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.corpora import CODE_RATE_HZ, NUM_CODEBOOKS, draw_seconds
from gsv2.data.config import SourceConfig
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.index_columns import CLIP_SCHEMA
from gsv2.data.corpus.manifest import Manifest, ShardEntry, write_manifest

MAX_CLIP_SEC = 54.0
"""Longest clip of any mix."""
_CLIPS_OF_SHARD = 5000
_CLIPS_OF_BLOCK = 16  # as `gsv2 index` and the corpus builder cut them by default
_CLIPS_OF_SPEAKER = 150  # LibriTTS: 375 thousand clips of 2456 speakers
_FLAC_BYTES_PER_SEC = 45_000  # 32 kHz mono speech
_TEXT_BYTES_PER_SEC = (11.0, 19.0)  # slow and fast readers of English
_JSON_BYTES = 250
_NPY_HEADER_BYTES = 128
_CODE_BYTES = 2


def draw_mix(name: str, num_clips: int, rng: np.random.Generator) -> np.ndarray:
    """Return [clips] durations in seconds of one of `MIXES`."""
    if name == MIXES[0]:
        return draw_seconds(num_clips, rng)
    if name == MIXES[1]:
        return rng.uniform(3.0, 30.0, num_clips)
    return rng.lognormal(np.log(5.0), 0.9, num_clips).clip(0.6, MAX_CLIP_SEC)


MIXES = ("6.5 s mean", "3-30 s even", "0.6-54 s heavy tail")


def write_index(root: Path, seconds: np.ndarray, seed: int = 0) -> CorpusIndex:
    """Write the index of a corpus whose clips have these lengths, and open it.

    Blocks of 16 clips have a speaker drawn from one for every 150 clips; sizes of members are
    those of FLAC and of two codebooks.

    Args:
        root: folder to write; nothing is written again if it is there.
        seconds: [clips] durations.
        seed: of speakers and reading speeds.
    """
    if not (root / "corpus.json").is_file():
        rng = np.random.default_rng(seed)
        num_speakers = max(1, len(seconds) // _CLIPS_OF_SPEAKER)
        entries = []
        (root / "en").mkdir(parents=True, exist_ok=True)
        for start in range(0, len(seconds), _CLIPS_OF_SHARD):
            table = _shard_table(start, seconds[start : start + _CLIPS_OF_SHARD], num_speakers, rng)
            name = f"en/clips-{start // _CLIPS_OF_SHARD:06d}"
            pq.write_table(table, root / f"{name}.parquet", compression="zstd")
            hours = float(seconds[start : start + _CLIPS_OF_SHARD].sum())
            entries.append(
                ShardEntry(
                    name=name, num_clips=table.num_rows, seconds=hours, num_bytes=1 << 40, sha256=""
                )
            )
        write_manifest(Manifest(shards=tuple(entries)), root)
    return CorpusIndex.open(SourceConfig(path=str(root)))


def _shard_table(
    start: int, seconds: np.ndarray, num_speakers: int, rng: np.random.Generator
) -> pa.Table:
    """Return the index of one shard; offsets and checksums name nothing."""
    count = len(seconds)
    blocks = np.arange(count) // _CLIPS_OF_BLOCK
    speakers = rng.integers(num_speakers, size=int(blocks[-1]) + 1)[blocks]
    frames = np.ceil(seconds * CODE_RATE_HZ).astype(np.int64)
    sizes = {
        "audio": (seconds * _FLAC_BYTES_PER_SEC).astype(np.int64),
        "json": np.full(count, _JSON_BYTES),
        "codes": _NPY_HEADER_BYTES + frames * NUM_CODEBOOKS * _CODE_BYTES,
    }
    nowhere = np.zeros(count, dtype=np.int64)
    columns = {
        "key": [f"clip{start + number:08d}" for number in range(count)],
        "block": blocks,
        "speaker": [f"speaker{number:05d}" for number in speakers.tolist()],
        "language": ["en"] * count,
        "duration_sec": seconds,
        "num_samples": (seconds * SAMPLE_RATE).astype(np.int64),
        "text_bytes": (seconds * rng.uniform(*_TEXT_BYTES_PER_SEC, count)).astype(np.int64),
        "num_code_frames": frames,
        **{f"{member}_offset": nowhere for member in sizes},
        **{f"{member}_length": size for member, size in sizes.items()},
        **{f"{member}_crc32": nowhere for member in sizes},
    }
    return pa.table(
        [pa.array(columns[field.name], field.type) for field in CLIP_SCHEMA], CLIP_SCHEMA
    )
