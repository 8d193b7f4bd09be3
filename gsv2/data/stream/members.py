"""Places of the members of a clip: tar, offset, length and CRC-32, shard by shard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from zlib_ng import zlib_ng

from gsv2.audio.level import Level
from gsv2.data.corpus.decode import AlignClip, ClipError, ClipRow, Transcript
from gsv2.data.corpus.format import SIZE_LIMITS
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.index_columns import LEVEL_FIELDS
from gsv2.data.corpus.shard import Shard
from gsv2.data.plan.window import Window
from gsv2.lru import LruCache

_MAX_CLIPS = 1 << 20
"""Clips whose columns are kept, at some 130 bytes each: windows of 8192 clips and the rest of
their shards, for more than 64 lanes."""


class MemberPlace(NamedTuple):
    """One member of a clip in a tar."""

    member: str
    """`json`, or any of `MEMBERS`; JSON beside sidecar codes counts as `json` too."""
    tar: str
    offset: int
    length: int
    crc32: int

    def check(self, content: bytes | memoryview) -> None:
        """Check what was read there.

        Raises:
            ClipError: it is shorter than it should be, or differs from its checksum.
        """
        if len(content) < self.length:
            raise ClipError("tar ends before the clip", self.member)
        if zlib_ng.crc32(content) != self.crc32:
            raise ClipError(f"{self.member} differs from its checksum", self.member)


class ClipFacts(NamedTuple):
    """Columns of the index over the n clips of a shard, beside the places of their members."""

    keys: list[str]
    num_samples: np.ndarray
    """[n] int64 at `SAMPLE_RATE`."""
    levels: np.ndarray
    """[n, 2] float64 loudness and peak; NaN where the index does not hold them."""
    num_code_frames: np.ndarray | None
    """[n] int64; None = codes are not read."""
    said: tuple[pa.Array, pa.Array, pa.Array] | None
    """Text, language and speaker of the clips, as far as the index holds them; None = nowhere."""


class ShardMembers:
    """Places of the members of the clips of one shard, and what else the index says of them.

    Args:
        tars: member -> tar that it is read from, the JSON first.
        numbers: [clips, 3 * members] int64: offset, length, CRC-32; -1 where a clip has no such
            member.
        facts: the other columns.
        align_clip: aligns its clips as they are read; None = nobody asks, or it is a member.
    """

    def __init__(
        self,
        shard: Shard,
        tars: dict[str, str],
        numbers: np.ndarray,
        facts: ClipFacts,
        align_clip: AlignClip | None = None,
    ) -> None:
        self.name = shard.name
        self.start, self.stop = shard.start, shard.stop
        self.tars = tars
        self.align_clip = align_clip
        self.shift_samples = shard.shift_samples if {"audio", "codes"} <= tars.keys() else 0
        """Samples at the start of each clip that are not read of its audio, for its codes are
        those of the rest."""
        self.keys, self.num_samples, self._levels, self._num_code_frames, self._said = facts
        self._parts = tuple(tars), tuple(tars.values())
        self._numbers = numbers
        limits = [SIZE_LIMITS[member] for member in tars]
        self._suspect = bool((numbers[:, 0::3] < 0).any() or (numbers[:, 1::3] > limits).any())

    def locate(self, row: int) -> list[tuple[str, str, int, int, int]]:
        """Return the fields of `MemberPlace` of a clip's members.

        First the JSON, unless the index replaces it.

        Raises:
            ClipError: a member is not in the tar, or larger than any may be.
        """
        members, tars = self._parts
        # one iterator three times: offset, length, CRC-32 (strict=True costs a tenth of this)
        numbers = iter(self._numbers[row - self.start].tolist())
        places = list(zip(members, tars, numbers, numbers, numbers))  # noqa: B905
        if self._said is not None and self._said[0][row - self.start].is_valid:
            del places[0]
        if self._suspect:
            _check_places(places)
        return places

    def describe(self, row: int) -> ClipRow:
        """Return what the index says of a clip."""
        place = row - self.start
        num_samples = int(self.num_samples[place])
        num_frames = -1 if self._num_code_frames is None else int(self._num_code_frames[place])
        lufs, peak = self._levels[place].tolist()
        return ClipRow(
            row,
            self.keys[place],
            self.name,
            self.transcript(row),
            None if lufs != lufs or peak != peak else Level(lufs, peak),
            num_samples if num_samples > 0 else None,
            num_frames if num_frames >= 0 else None,
        )

    def transcript(self, row: int) -> Transcript | None:
        """Return what is said in a clip if the index holds it; None = it is in the JSON."""
        if self._said is None:
            return None
        text, language, speaker = (column[row - self.start].as_py() for column in self._said)
        return None if text is None else (text, language or "", speaker or "")


class MemberIndex:
    """Finds the members of any clip.

    Where codes lie in sidecar tars and no audio is asked for, the JSON comes from there too.

    Args:
        members: any of `MEMBERS`; what is said comes always, from the JSON or the index.
    """

    def __init__(self, index: CorpusIndex, members: Sequence[str]) -> None:
        self._index = index
        self.code_format = index.code_format
        """Format that all codes must have."""
        self._members = ("json", *members)
        self._beside = "codes" in members and "audio" not in members
        self._starts = index.shard_starts
        self._shards: LruCache[int, ShardMembers] = LruCache(_MAX_CLIPS)
        self._last: ShardMembers | None = None
        self._windows: dict[int, tuple[int, frozenset[int]]] = {}  # lane -> window, its shards

    def follow(self, window: Window) -> None:
        """Let go of the shards that no lane needs any more, now that one is at `window`."""
        lane, number = window.position.lane, window.position.window
        if lane in self._windows and self._windows[lane][0] == number:
            return
        shards = np.unique(self._starts.searchsorted(window.rows, side="right") - 1)
        self._windows[lane] = (number, frozenset(shards.tolist()))
        needed = frozenset().union(*(shards for _, shards in self._windows.values()))
        for place in self._shards.keys() - needed:
            self._shards.drop(place)

    def shard(self, row: int) -> ShardMembers:
        """Return the shard that holds a clip."""
        last = self._last
        if last is None or not last.start <= row < last.stop:
            number = int(self._starts.searchsorted(row, side="right")) - 1
            last = self._last = self._load(number)
        return last

    def key(self, row: int) -> str:
        """Return the key of a clip."""
        shard = self.shard(row)
        return shard.keys[row - shard.start]

    def locate(self, row: int) -> list[MemberPlace]:
        """Return the places of a clip's members, see `ShardMembers.locate`."""
        return [MemberPlace(*place) for place in self.shard(row).locate(row)]

    def _load(self, number: int) -> ShardMembers:
        known = self._shards.get(number)
        if known is not None:
            return known
        made = self._read(self._index.shards[number])
        return self._shards.put(number, made, cost=len(made.keys))

    def _read(self, shard: Shard) -> ShardMembers:
        beside = self._beside and shard.codes_tar != shard.tar
        aligned_here = "align" in self._members and self._index.aligns(shard)
        members = [m for m in self._members if not (aligned_here and m == "align")]
        prefixes = ["codes_json" if beside and m == "json" else m for m in members]
        names = [f"{m}_{part}" for m in prefixes for part in ("offset", "length", "crc32")]
        said = [] if beside else ["text", "language", "speaker"]
        levels = [field.name for field in LEVEL_FIELDS]
        frames = ["num_code_frames"] if "codes" in self._members else []
        wanted = ["key", "num_samples", *frames, *levels, *names, *said]
        columns = self._index.read(shard, wanted)
        numbers = np.stack([_filled(columns[name]) for name in names], axis=1)
        in_index = said and columns["text"].null_count < shard.num_clips
        facts = ClipFacts(
            keys=columns["key"].to_pylist(),
            num_samples=_filled(columns["num_samples"]),
            levels=np.stack([_or_nan(columns[name]) for name in levels], axis=1),
            num_code_frames=_filled(columns["num_code_frames"]) if frames else None,
            said=(columns["text"], columns["language"], columns["speaker"]) if in_index else None,
        )
        tars = {m: shard.tar_of("codes" if beside and m == "json" else m) for m in members}
        align_clip = self._index.align_clip if aligned_here else None
        return ShardMembers(shard, tars, numbers, facts, align_clip)


def _filled(array: pa.Array) -> np.ndarray:
    """Return int64 with -1 for null."""
    filled = array.fill_null(-1) if array.null_count else array
    return filled.to_numpy(zero_copy_only=False).astype(np.int64)


def _or_nan(array: pa.Array) -> np.ndarray:
    """Return float64 with NaN for null."""
    return array.fill_null(float("nan")).to_numpy(zero_copy_only=False).astype(np.float64)


def _check_places(places: Sequence[tuple[str, str, int, int, int]]) -> None:
    for member, _, offset, length, _ in places:
        if offset < 0:
            raise ClipError(f"{member} is not in the tar", member)
        if length > SIZE_LIMITS[member]:
            raise ClipError(f"{member} is above the size limit", member)
