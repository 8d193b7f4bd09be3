"""Clip columns that the plan needs of a shard, derived from the index: no audio is read."""

from __future__ import annotations

import hashlib
import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gsv2.data.config import DataConfig
from gsv2.data.corpus.format import FRAME_RATE_HZ, HOP_LENGTH
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.key_list import read_key_list
from gsv2.data.corpus.manifest import CorpusError
from gsv2.data.corpus.part import in_part
from gsv2.data.corpus.shard import Shard
from gsv2.data.plan.bucketing import Budget
from gsv2.lru import LruCache

logger = logging.getLogger(__name__)

_OTHER_PART = "of another part (data.sources.part)"
_LEFT_OUT = "named by the list data.sources.leave_out"
_KEPT_CLIPS = 1 << 19
"""Clips of which the columns are kept, at 48 bytes each."""
_EXAMINED_CLIPS = 200_000
"""Clips whose lengths are looked at before a run; a second's work."""


class ClipColumns(NamedTuple):
    """Columns over n clips, in the order of their tar."""

    rows: np.ndarray
    """[n] int64 rows of the index."""
    blocks: np.ndarray
    """[n] int64 speaker blocks inside the shard."""
    voices: np.ndarray
    """[n] int64, equal for clips that may prompt each other."""
    seconds: np.ndarray
    """[n] float64 of the audio that is read."""
    num_bytes: np.ndarray
    """[n] int64 undecoded bytes."""
    lengths: np.ndarray
    """[n] int64 in units of the budget, at least 1."""

    def cut(self, start: int, stop: int) -> ClipColumns:
        """Return clips start..stop - 1."""
        return ClipColumns(*(column[start:stop] for column in self))

    @classmethod
    def join(cls, parts: Sequence[ClipColumns]) -> ClipColumns:
        """Return the clips of all parts, one after the other."""
        return cls(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


class ClipTable:
    """The clips that a run reads, shard by shard.

    Attributes:
        budget: budget of a micro-batch, in whose units lengths are.
        left_out: reason -> clips that are not read, of those that were looked at.
        num_examined: how many were looked at: all of a corpus of up to some 200 thousand clips,
            of a larger one about as many from shards all over it.

    Raises:
        CorpusError: no clip is left, or too many are over the budget.
    """

    def __init__(self, index: CorpusIndex, config: DataConfig, members: Sequence[str]) -> None:
        self.index = index
        self.budget = _budget(config)
        self._config = config
        self._members = tuple(members)
        self._lists: dict[str, pa.Array] = {}
        self._shards: LruCache[int, ClipColumns] = LruCache(_KEPT_CLIPS)
        self.num_examined, self.left_out = self._examine()

    def shard(self, number: int) -> ClipColumns:
        """Return the clips of a shard that are read."""
        known = self._shards.get(number)
        return (
            self._keep(number, self._read(self.index.shards[number])[0]) if known is None else known
        )

    def left_out_of(self, shard: Shard) -> Mapping[str, int]:
        """Return reason -> clips of a shard that are not read."""
        return {reason: count for reason, count in self._read(shard)[1].items() if count}

    def _keep(self, number: int, columns: ClipColumns) -> ClipColumns:
        return self._shards.put(number, columns, cost=len(columns.rows))

    def _read(self, shard: Shard) -> tuple[ClipColumns, Counter[str]]:
        """Return the clips of a shard that are read, and reason -> number of the others."""
        config, members = self._config, self._stored(shard)
        read = ("json", *members)
        names = ["speaker", "block", "duration_sec", "num_samples", "text_bytes", "num_code_frames"]
        is_counted = shard.texts is not None and shard.texts.counts_only
        names += ["num_text_vectors"] if is_counted or "text_vectors" in members else []
        keys = ["key"] if shard.part != "all" or shard.leave_out is not None else []
        arrays = self.index.read(shard, keys + names + [f"{member}_length" for member in read])
        speakers = arrays.pop("speaker")
        unread = self._unread(shard, arrays.pop("key")) if keys else {}
        numbers = {
            name: array.fill_null(-1).to_numpy(zero_copy_only=False)
            for name, array in arrays.items()
        }
        blocks = numbers["block"].astype(np.int64)
        columns = ClipColumns(
            rows=np.arange(shard.start, shard.stop, dtype=np.int64),
            blocks=blocks,
            voices=_voices(shard, speakers, blocks),
            seconds=np.minimum(numbers["duration_sec"], config.longest_sec),
            num_bytes=sum(
                (np.maximum(numbers[f"{member}_length"], 0) for member in read),
                np.zeros(shard.num_clips, dtype=np.int64),
            ),
            lengths=_lengths(numbers, config, self.budget),
        )
        keep, left_out = self._select(columns, numbers, unread, members)
        return ClipColumns(*(column[keep] for column in columns)), left_out

    def _unread(self, shard: Shard, keys: pa.Array) -> dict[str, np.ndarray]:
        """Return reason -> [n] bool: clips that the source does not have read."""
        others = ~in_part(keys, shard.part, shard.held_out_share)
        if shard.leave_out is None:
            return {_OTHER_PART: others}
        if shard.leave_out not in self._lists:
            self._lists[shard.leave_out] = read_key_list(shard.leave_out, self.index.storage)
        listed = pc.is_in(keys, self._lists[shard.leave_out]).to_numpy(zero_copy_only=False)
        return {_OTHER_PART: others, _LEFT_OUT: listed}

    def _stored(self, shard: Shard) -> tuple[str, ...]:
        """Return the members that a clip of a shard must have; others are made as it is read."""
        made = ("align",) if self.index.aligns(shard) else ()
        return tuple(member for member in self._members if member not in made)

    def _select(
        self,
        columns: ClipColumns,
        numbers: Mapping[str, np.ndarray],
        unread: Mapping[str, np.ndarray],
        members: Sequence[str],
    ) -> tuple[np.ndarray, Counter[str]]:
        """Return [n] bool, and reason -> number of the clips that are not read."""
        config, seconds = self._config, numbers["duration_sec"]
        limit = "row_tokens" if config.row_tokens else f"max_{self.budget.unit}"
        tests = {
            **unread,
            "shorter than data.min_clip_sec": seconds < config.min_clip_sec,
            "longer than data.max_clip_sec": seconds > config.max_clip_sec,
            **{f"no {m} in the corpus": numbers[f"{m}_length"] < 0 for m in members},
            f"longer than data.{limit}": columns.lengths > self.budget.limit,
        }
        keep = np.ones(len(columns.rows), dtype=bool)
        left_out: Counter[str] = Counter()
        for reason, found in tests.items():
            if count := int((keep & found).sum()):
                left_out[reason] = count
            keep &= ~found
        return keep, left_out

    def _examine(self) -> tuple[int, Mapping[str, int]]:
        """Look at shards all over the corpus before anything is trained on it."""
        shards = self.index.shards
        stride = max(1, -(-self.index.num_clips // _EXAMINED_CLIPS))
        left_out: Counter[str] = Counter()
        num_examined = 0
        for shard in shards[::stride]:
            columns, reasons = self._read(shard)
            self._keep(shard.number, columns)
            left_out += reasons
            num_examined += shard.num_clips
        faults = {reason: n for reason, n in left_out.items() if reason != _OTHER_PART}
        if faults:
            logger.warning("data: clips left out of %d: %s", num_examined, faults)
        if left_out.total() == num_examined:
            raise CorpusError(
                f"data: no clip is left of {num_examined}; left out: {dict(left_out)}"
            )
        over = sum(n for reason, n in left_out.items() if reason.endswith(("tokens", "frames")))
        kept = num_examined - left_out.total() + over
        if over > self._config.max_bad_fraction * kept:
            raise CorpusError(
                f"data: {over} of {kept} clips are above the budget of {self.budget.limit} "
                f"{self.budget.unit}: {dict(left_out)}; raise it or lower data.max_clip_sec"
            )
        return num_examined, dict(left_out)


def excerpt_frames(config: DataConfig) -> int | None:
    """Return the number of 50 Hz frames of an excerpt; None where clips are read whole."""
    if config.excerpt_sec is None:
        return None
    return max(1, math.floor(config.excerpt_sec * FRAME_RATE_HZ + 1e-6))


def _budget(config: DataConfig) -> Budget:
    if config.max_tokens is not None:
        return Budget(unit="tokens", limit=config.row_tokens or config.max_tokens)
    assert config.max_frames is not None, "DataConfig sets one of the two"
    return Budget(unit="frames", limit=config.max_frames)


def _lengths(numbers: Mapping[str, np.ndarray], config: DataConfig, budget: Budget) -> np.ndarray:
    """Return [n] int64 lengths in units of the budget, at least 1."""
    if budget.unit == "frames":
        frames = np.maximum(numbers["num_samples"] // HOP_LENGTH, 1).astype(np.int64)
        most = excerpt_frames(config)
        return frames if most is None else np.minimum(frames, most)
    known = numbers["num_code_frames"].astype(np.int64)
    guess = np.ceil(numbers["duration_sec"] * config.code_rate_hz).astype(np.int64)
    steps = np.where(known >= 0, known, guess) * config.steps_per_frame
    if "num_text_vectors" in numbers:
        counted = numbers["num_text_vectors"].astype(np.int64)
        text = np.where(counted >= 0, counted, numbers["text_bytes"])
    else:
        text = numbers["text_bytes"] * config.tokens_per_text_byte
    return steps + text + config.clip_overhead_tokens


def _voices(shard: Shard, speakers: pa.Array, blocks: np.ndarray) -> np.ndarray:
    """Return [n] int64: equal for clips of one speaker of one source.

    Clips without a speaker share a voice with their block, which is a recording or one clip.
    """
    encoded = pc.dictionary_encode(speakers)
    names = encoded.dictionary.to_pylist()
    by_name = np.array([_hash(shard.source, name) for name in names], dtype=np.int64)
    voices = by_name[encoded.indices.to_numpy()]
    if "" in names:
        unnamed = encoded.indices.to_numpy() == names.index("")
        numbers, places = np.unique(blocks, return_inverse=True)
        by_block = [_hash(shard.source, shard.name, number) for number in numbers.tolist()]
        voices = np.where(unnamed, np.array(by_block, dtype=np.int64)[places], voices)
    return voices


def _hash(*parts: object) -> int:
    """Return a number that is the same in every process, as int64."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)
