"""The index of what is read: one row a clip, columns read shard by shard when they are asked for.

Rows are numbered over all shards of all sources, in the order of corpus.json, which is all that
is read to start. Strings stay in Arrow buffers, numbers are numpy arrays; no clip is a Python
object.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gsv2.data.manifest import CorpusError, Manifest, read_manifest
from gsv2.data.schema import SourceConfig
from gsv2.data.storage import Storage
from gsv2.data.tars import CODES_SCHEMA, FOREIGN_SCHEMA, OPTIONAL_FIELD

_CODES_COLUMNS = frozenset(CODES_SCHEMA.names) - {"key"}
_KEPT_SHARDS = 64
"""Shards whose keys are kept."""
_STRING_COLUMNS = frozenset(f.name for f in FOREIGN_SCHEMA if pa.types.is_string(f.type))


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One tar of the index, with the tar that holds its codes."""

    number: int
    """Place in the index."""
    name: str
    """`LANG/NAME-000000`."""
    source: int
    """Number of the source that it belongs to."""
    tar: str
    """Path or URL."""
    codes_tar: str
    """Sidecar tar, or `tar` itself."""
    tar_index: str
    """Parquet index of `tar`."""
    codes_index: str
    """Parquet index of `codes_tar`."""
    start: int
    """First row."""
    stop: int
    """One past the last row."""
    seconds: float
    """Duration of its clips."""
    sha256: str
    """Of `tar`."""
    codes_sha256: str
    """Of `codes_tar`."""

    @property
    def num_clips(self) -> int:
        """Number of rows."""
        return self.stop - self.start

    @property
    def language(self) -> str:
        """Language of all its clips: the folder that it lies in."""
        return self.name.rpartition("/")[0]

    def tar_of(self, member: str) -> str:
        """Return the tar that holds a member."""
        return self.codes_tar if member.startswith("codes") else self.tar


class CorpusIndex:
    """Clips of one or several sources, as columns."""

    def __init__(self, shards: Sequence[Shard], quantizer: str | None, storage: Storage) -> None:
        self.shards = tuple(shards)
        self.quantizer = quantizer
        """Hash of the quantizer that made the codes; None without sidecar codes."""
        self.storage = storage
        """Where the tars and their indexes are read."""
        self._columns: dict[str, np.ndarray | pa.Array] = {}
        self._keys: OrderedDict[int, pa.Array] = OrderedDict()

    @classmethod
    def open(cls, *sources: SourceConfig, storage: Storage | None = None) -> CorpusIndex:
        """Open corpora by their corpus.json; tars and columns are not touched yet.

        Raises:
            CorpusError: a corpus is missing, incomplete or of another format, its sidecar codes
                were made from other tars, or two sources have codes of different quantizers.
        """
        storage = storage or Storage()
        shards: list[Shard] = []
        quantizers: dict[str, str] = {}
        for number, source in enumerate(sources):
            manifest = _read_kind(source.path, "audio", storage)
            codes_of: Mapping[str, str] = {}
            if source.codes is not None:
                codes = _read_kind(source.codes, "codes", storage)
                _check_same_shards(source, manifest, codes)
                quantizers[source.codes] = codes.quantizer or ""
                codes_of = {entry.name: entry.sha256 for entry in codes.shards}
            for entry in manifest.shards:
                start = shards[-1].stop if shards else 0
                beside = source.codes or source.path
                shard = Shard(
                    number=len(shards),
                    name=entry.name,
                    source=number,
                    tar=storage.join(source.path, f"{entry.name}.tar"),
                    codes_tar=storage.join(beside, f"{entry.name}.tar"),
                    tar_index=storage.join(source.path, f"{entry.name}.parquet"),
                    codes_index=storage.join(beside, f"{entry.name}.parquet"),
                    start=start,
                    stop=start + entry.num_clips,
                    seconds=entry.seconds,
                    sha256=entry.sha256,
                    codes_sha256=codes_of.get(entry.name, entry.sha256),
                )
                shards.append(shard)
        if len(set(quantizers.values())) > 1:
            raise CorpusError(f"the sources hold codes of different quantizers: {quantizers}")
        return cls(shards, next(iter(quantizers.values()), None), storage)

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
        return hashes | {shard.tar: shard.sha256 for shard in self.shards}

    def read(self, shard: Shard, names: Sequence[str]) -> dict[str, pa.Array]:
        """Read columns of one shard, those of codes from the sidecar if there is one.

        Returns:
            Name -> [clips of the shard] array; null where a clip has no such member.

        Raises:
            CorpusError: the index file is missing, damaged or does not fit its corpus.json.
        """
        if shard.codes_tar == shard.tar:
            own = [name for name in names if name in FOREIGN_SCHEMA.names]
            columns = self._read_index(shard.tar_index, own)
            _check_rows(shard, columns)
            absent = pa.nulls(shard.num_clips, pa.int64())
            return {name: columns.get(name, absent) for name in names}
        own = [name for name in names if name not in _CODES_COLUMNS]
        beside = [name for name in names if name in _CODES_COLUMNS]
        columns = self._read_index(shard.tar_index, list(dict.fromkeys(["key", *own])))
        if beside:
            sidecar = self._read_index(shard.codes_index, ["key", *beside])
            places = _match(columns["key"], sidecar["key"], shard)
            columns |= {name: sidecar[name].take(places) for name in beside}
        _check_rows(shard, columns)
        return {name: columns[name] for name in names}

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
        if shard.number not in self._keys:
            self._keys[shard.number] = self.read(shard, ["key"])["key"]
            if len(self._keys) > _KEPT_SHARDS:
                self._keys.popitem(last=False)
        return self._keys[shard.number][row - shard.start].as_py()

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
        """Check that the tars that are read for these members are there.

        Args:
            members: of `audio` and `codes`.
            part: share of the shards to look at, so that ranks divide the work.
            parts: number of shares.

        Raises:
            CorpusError: names the first that is missing.
        """
        mine = self.shards[part::parts]
        audio = [shard.tar for shard in mine if "audio" in members]
        codes = [shard.codes_tar for shard in mine if "codes" in members]
        for tar in dict.fromkeys([*audio, *codes]):
            if self.storage.is_local(tar) and not Path(tar).is_file():
                raise CorpusError(f"shard {tar} is missing")

    def summary(self) -> str:
        """Return one line about clips, hours, languages and codes."""
        hours = sum(shard.seconds for shard in self.shards) / 3600.0
        languages = ", ".join(sorted({shard.language for shard in self.shards}))
        codes = int((self.numbers("num_code_frames") >= 0).sum())
        return (
            f"{self.num_clips} clips, {hours:.2f} h, languages {languages}, "
            f"{len(self.shards)} shards, {codes} clips with codes"
        )

    def _read_index(self, location: str, names: Sequence[str]) -> dict[str, pa.Array]:
        try:
            local = self.storage.is_local(location)
            source = location if local else pa.BufferReader(self.storage.read(location))
            table = _read_columns(source, names, local)
        except FileNotFoundError as error:
            raise CorpusError(f"index {location} is missing") from error
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
            reason = " ".join(str(error).split())
            raise CorpusError(f"index {location} cannot be read: {reason}") from error
        if missing := set(names) - set(table.column_names):
            raise CorpusError(f"index {location} lacks the columns {', '.join(sorted(missing))}")
        return {name: table[name].combine_chunks() for name in names}


def _read_columns(source: str | pa.BufferReader, names: Sequence[str], local: bool) -> pa.Table:
    """Read columns of an index file; the optional one is null where it is absent."""
    optional = OPTIONAL_FIELD.name
    with pq.ParquetFile(source, memory_map=local) as file:
        absent = optional in names and optional not in file.schema_arrow.names
        present = [name for name in names if not (absent and name == optional)]
        table = file.read(columns=present, use_threads=False)
    nulls = pa.nulls(table.num_rows, OPTIONAL_FIELD.type)
    return table.append_column(OPTIONAL_FIELD, nulls) if absent else table


def _read_kind(corpus: str, kind: str, storage: Storage) -> Manifest:
    manifest = read_manifest(corpus, storage)
    if manifest.kind != kind:
        raise CorpusError(f"corpus {corpus} must hold {kind}, but holds {manifest.kind}")
    return manifest


def _check_same_shards(source: SourceConfig, audio: Manifest, codes: Manifest) -> None:
    made_from = {shard.name: shard.source_sha256 for shard in codes.shards}
    for shard in audio.shards:
        if shard.name not in made_from:
            raise CorpusError(f"codes {source.codes} lack shard {shard.name} of {source.path}")
        if made_from[shard.name] != shard.sha256:
            raise CorpusError(
                f"codes {source.codes} of shard {shard.name} were made from another tar than the "
                f"one in {source.path}; make the codes again"
            )


def _match(keys: pa.Array, sidecar_keys: pa.Array, shard: Shard) -> pa.Array:
    """Return the sidecar's row of every clip; null where a clip has no codes."""
    places = pc.index_in(keys, value_set=sidecar_keys)
    found = pc.drop_null(places)
    if len(found) != len(sidecar_keys) or not found.equals(pa.array(range(len(found)), pa.int32())):
        raise CorpusError(
            f"index of {shard.codes_tar} does not list the clips of {shard.tar} in their order; "
            "make the codes again"
        )
    return places


def _check_rows(shard: Shard, columns: Mapping[str, pa.Array]) -> None:
    for array in columns.values():
        if len(array) != shard.num_clips:
            raise CorpusError(
                f"index of {shard.tar} must have {shard.num_clips} rows as corpus.json says, "
                f"but has {len(array)}"
            )


def _to_numpy(array: pa.Array) -> np.ndarray:
    filled = array.fill_null(-1) if array.null_count else array
    return filled.to_numpy(zero_copy_only=False)
