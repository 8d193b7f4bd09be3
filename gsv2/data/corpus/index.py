"""Index of what is read: one row a clip, columns read shard by shard when they are asked for.

Rows are numbered over all shards of all sources, in the order of corpus.json, which is all that
is read to start. Strings stay in Arrow buffers, numbers are numpy arrays; no clip is a Python
object.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from gsv2.data.config import SourceConfig
from gsv2.data.corpus.code_format import CodeFormat
from gsv2.data.corpus.decode import AlignClip
from gsv2.data.corpus.index_columns import ARCHIVE_SCHEMA
from gsv2.data.corpus.manifest import CorpusError, common_code_format
from gsv2.data.corpus.shard import Shard, read_shard
from gsv2.data.corpus.source_shards import read_sources
from gsv2.lru import LruCache
from gsv2.storage.storage import Storage

logger = logging.getLogger(__name__)

_KEPT_SHARDS = 64
"""Shards whose keys are kept."""
_STRING_COLUMNS = frozenset(f.name for f in ARCHIVE_SCHEMA if pa.types.is_string(f.type))


class CorpusIndex:
    """Clips of one or several sources, as columns."""

    def __init__(
        self,
        shards: Sequence[Shard],
        quantizer: str | None,
        storage: Storage,
        code_format: CodeFormat | None = None,
        align_clip: AlignClip | None = None,
        text_encoder: str | None = None,
    ) -> None:
        self.shards = tuple(shards)
        self.quantizer = quantizer
        """Hash of the quantizer that made the codes; None without sidecar codes."""
        self.storage = storage
        """Where the tars and their indexes are read."""
        self.code_format = code_format or CodeFormat()
        """Format that all codes must have."""
        self.align_clip = align_clip
        """Aligns clips whose codes nobody aligned, as they are read; None = they are left out."""
        self.text_encoder = text_encoder
        """Hash of the encoder that made the text vectors; None = not all sources have any."""
        self._columns: dict[str, np.ndarray | pa.Array] = {}
        self._keys: LruCache[int, pa.Array] = LruCache(_KEPT_SHARDS)

    @classmethod
    def open(cls, *sources: SourceConfig, storage: Storage | None = None) -> CorpusIndex:
        """Open corpora by their corpus.json; tars and columns are not touched yet.

        Raises:
            CorpusError: a corpus is missing, incomplete or of another format, its sidecar codes
                were made from other tars, or two sources have codes of different quantizers.
        """
        storage = storage or Storage()
        found = read_sources(sources, storage)
        return cls(
            found.shards,
            found.quantizer,
            storage,
            found.code_format,
            text_encoder=found.text_encoder,
        )

    def with_codes(self, wanted: CodeFormat, align_clip: AlignClip | None = None) -> CorpusIndex:
        """Return the index for a reader of codes.

        Args:
            wanted: format of the codes.
            align_clip: aligns those that nobody aligned; None = clips without are left out.

        Raises:
            CorpusError: its codes have another.
        """
        made = common_code_format(wanted, {"of the sources": self.code_format})
        return CorpusIndex(
            self.shards, self.quantizer, self.storage, made, align_clip, self.text_encoder
        )

    def aligns(self, shard: Shard) -> bool:
        """Tell whether the clips of a shard are aligned as they are read."""
        return shard.aligner is None and self.align_clip is not None

    @property
    def num_clips(self) -> int:
        """Number of rows."""
        return self.shards[-1].stop if self.shards else 0

    @cached_property
    def shard_starts(self) -> np.ndarray:
        """[shards] int64: first row of each shard."""
        return np.array([shard.start for shard in self.shards], dtype=np.int64)

    def shard_of(self, row: int) -> Shard:
        """Return the shard that holds a row."""
        return self.shards[int(np.searchsorted(self.shard_starts, row, side="right")) - 1]

    def sha256_of(self, tar: str) -> str:
        """Return the SHA-256 of a tar as its corpus.json says."""
        return self._hashes[tar]

    @cached_property
    def _hashes(self) -> dict[str, str]:
        hashes = {shard.codes_tar: shard.codes_sha256 for shard in self.shards}
        hashes |= {s.texts.tar: s.texts.sha256 for s in self.shards if s.texts is not None}
        return hashes | {shard.tar: shard.sha256 for shard in self.shards}

    def read(self, shard: Shard, names: Sequence[str]) -> dict[str, pa.Array]:
        """Read columns of one shard, see `read_shard`."""
        return read_shard(self.storage, shard, names)

    def read_numbers(self, shard: Shard, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Read numeric columns of one shard as `read` does; nulls are -1."""
        return {name: _to_numpy(array) for name, array in self.read(shard, names).items()}

    def numbers(self, name: str) -> np.ndarray:
        """Return a numeric column of all shards, [rows]; nulls are -1. It stays in memory."""
        self.load([name])
        return self._columns[name]

    def strings(self, name: str) -> pa.Array:
        """Return a string column of all shards, `large_string`. It stays in memory."""
        self.load([name])
        return self._columns[name]

    def key(self, row: int) -> str:
        """Return the key of one clip."""
        shard = self.shard_of(row)
        keys = self._keys.get(shard.number)
        if keys is None:
            keys = self._keys.put(shard.number, self.read(shard, ["key"])["key"])
        return keys[row - shard.start].as_py()

    def load(self, names: Iterable[str]) -> None:
        """Read several columns of all shards in one pass over the index files.

        For tools that look at a whole corpus; a run reads what its lanes come to.
        """
        wanted = [name for name in names if name not in self._columns]
        if not wanted:
            return
        parts = [self.read(shard, wanted) for shard in self.shards]
        for name in wanted:
            arrays = [part[name] for part in parts]
            if name in _STRING_COLUMNS:
                self._columns[name] = pa.concat_arrays([a.cast(pa.large_string()) for a in arrays])
            else:
                self._columns[name] = np.concatenate([_to_numpy(array) for array in arrays])

    def check_tars(
        self, members: Sequence[str] = ("audio", "codes"), *, part: int = 0, parts: int = 1
    ) -> None:
        """Check that the local tars that are read for these members are there.

        One that has another size than corpus.json says is no error, since what is left of it can
        be read; it is warned of.

        Args:
            members: members whose tars are looked for, of `audio`, `codes`, `text_vectors`.
            part: share of the shards to look at, so that ranks divide the work.
            parts: number of shares.

        Raises:
            CorpusError: names the first that is missing.
        """
        wanted: dict[str, int] = {}
        for shard in self.shards[part::parts]:
            if "audio" in members:
                wanted[shard.tar] = shard.num_bytes
            if "codes" in members:
                wanted[shard.codes_tar] = shard.codes_num_bytes
            if "text_vectors" in members and shard.texts is not None:
                wanted[shard.texts.tar] = shard.texts.num_bytes
        for tar, num_bytes in wanted.items():
            if not self.storage.is_local(tar):
                continue
            if not Path(tar).is_file():
                raise CorpusError(f"shard {tar} is missing")
            if (found := Path(tar).stat().st_size) != num_bytes:
                logger.warning(
                    "shard %s has %d bytes, but corpus.json says %d: it was cut or changed; "
                    "`gsv2 corpus verify` tells what is left of it", tar, found, num_bytes
                )  # fmt: skip

    def summary(self) -> str:
        """Return one line about clips, hours, languages and codes, from corpus.json alone."""
        hours = sum(shard.seconds for shard in self.shards) / 3600.0
        languages = ", ".join(sorted({shard.language for shard in self.shards}))
        codes = (
            f"codes of quantizer {self.quantizer[:12]}" if self.quantizer else "no sidecar codes"
        )
        return (
            f"{self.num_clips} clips, {hours:.2f} h, languages {languages}, "
            f"{len(self.shards)} shards, {codes}"
        )


def _to_numpy(array: pa.Array) -> np.ndarray:
    filled = array.fill_null(-1) if array.null_count else array
    return filled.to_numpy(zero_copy_only=False)
