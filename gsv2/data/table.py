"""What the plan needs to know of every clip, derived from the index: no audio is read."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pyarrow.compute as pc

from gsv2.data.bucketing import Budget
from gsv2.data.index import CorpusIndex
from gsv2.data.manifest import CorpusError
from gsv2.data.schema import HOP_LENGTH, DataConfig

logger = logging.getLogger(__name__)


class ClipTable:
    """Columns over all rows of the index, and which rows are read at all."""

    def __init__(self, index: CorpusIndex, config: DataConfig, members: Sequence[str]) -> None:
        read = ("json", *members)
        index.load(
            ["speaker", "block", "duration_sec", "num_samples", "text_bytes", "num_code_frames"]
            + [f"{member}_length" for member in read]
        )
        self.budget = _budget(config)
        self.seconds = index.numbers("duration_sec")
        self.num_bytes: np.ndarray = sum(
            np.maximum(index.numbers(f"{member}_length"), 0) for member in read
        )  # [rows] int64: undecoded bytes of a clip
        self.lengths = _lengths(index, config, self.budget)
        self.shards = np.repeat(
            np.arange(len(index.shards)), [shard.stop - shard.start for shard in index.shards]
        )  # [rows] int64: number of the shard
        self.blocks = index.numbers("block")
        self.voices = _voices(index, self.shards, self.blocks)
        absent = {m: index.numbers(f"{m}_length") < 0 for m in members}
        self.rows, self.left_out = _select(self, config, absent)


def _budget(config: DataConfig) -> Budget:
    if config.max_tokens is not None:
        return Budget(unit="tokens", limit=config.max_tokens)
    assert config.max_frames is not None, "DataConfig sets one of the two"
    return Budget(unit="frames", limit=config.max_frames)


def _lengths(index: CorpusIndex, config: DataConfig, budget: Budget) -> np.ndarray:
    """Return [rows] int64 lengths in units of the budget, at least 1."""
    if budget.unit == "frames":
        return np.maximum(index.numbers("num_samples") // HOP_LENGTH, 1)
    known = index.numbers("num_code_frames").astype(np.int64)
    guess = np.ceil(index.numbers("duration_sec") * config.code_rate_hz).astype(np.int64)
    frames = np.where(known >= 0, known, guess)
    return frames + index.numbers("text_bytes") + config.clip_overhead_tokens


def _voices(index: CorpusIndex, shards: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """Return [rows] int64: equal for clips of one speaker of one source.

    Clips without a speaker share a voice with their block, which is a recording or one clip.
    """
    encoded = pc.dictionary_encode(index.strings("speaker"))
    speakers = encoded.indices.to_numpy().astype(np.int64)
    names = encoded.dictionary.to_pylist()
    sources = np.array([shard.source for shard in index.shards], dtype=np.int64)[shards]
    voices = sources * len(names) + speakers
    if "" in names:
        unknown = speakers == names.index("")
        num_known = (len(sources) and int(sources.max()) + 1) * len(names)
        by_block = num_known + shards * (int(blocks.max()) + 1) + blocks
        voices = np.where(unknown, by_block, voices)
    return voices


def _select(
    table: ClipTable, config: DataConfig, absent: dict[str, np.ndarray]
) -> tuple[np.ndarray, dict[str, int]]:
    """Return the rows to read, and reason -> number of clips that are left out.

    Raises:
        CorpusError: no clip is left, or more than `max_bad_fraction` are over the budget.
    """
    unit, limit = table.budget.unit, table.budget.limit
    tests = {
        "shorter than data.min_clip_sec": table.seconds < config.min_clip_sec,
        "longer than data.max_clip_sec": table.seconds > config.max_clip_sec,
        **{f"no {member} in the corpus": rows for member, rows in absent.items()},
    }
    keep = np.ones(len(table.seconds), dtype=bool)
    left_out = {}
    for reason, rows in tests.items():
        left_out[reason] = int((keep & rows).sum())
        keep &= ~rows
    over = keep & (table.lengths > limit)
    if over.sum() > config.max_bad_fraction * keep.sum():
        raise CorpusError(
            f"data.max_{unit} ({limit}) is below the {unit} of {over.sum()} of {keep.sum()} clips; "
            f"the longest needs {table.lengths[keep].max()}; raise it or lower data.max_clip_sec"
        )
    left_out[f"longer than data.max_{unit}"] = int(over.sum())
    keep &= ~over
    left_out = {reason: count for reason, count in left_out.items() if count}
    if left_out:
        logger.warning("data: clips left out of %d: %s", len(keep), left_out)
    if not keep.any():
        raise CorpusError(f"data: no clip is left of {len(keep)}; left out: {left_out}")
    return np.flatnonzero(keep), left_out
