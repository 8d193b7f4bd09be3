"""The index of what is read: one row a clip, columns loaded when they are asked for.

Rows are numbered over all shards of all sources, in the order of corpus.json. Strings stay in
Arrow buffers, numbers are numpy arrays; no clip is a Python object.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gsv2.data.manifest import CorpusError, Manifest, read_manifest
from gsv2.data.schema import SourceConfig
from gsv2.data.tars import CLIP_SCHEMA, CODES_SCHEMA

_CODES_COLUMNS = frozenset(CODES_SCHEMA.names) - {"key"}
_STRING_COLUMNS = frozenset(f.name for f in CLIP_SCHEMA if pa.types.is_string(f.type))


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One tar of the index, with the tar that holds its codes."""

    name: str
    source: int
    """Number of the source that it belongs to."""
    tar: Path
    codes_tar: Path
    """Sidecar tar, or `tar` itself."""
    start: int
    """First row."""
    stop: int
    """One past the last row."""

    def tar_of(self, member: str) -> Path:
        """Return the tar that holds a member."""
        return self.codes_tar if member.startswith("codes") else self.tar


class CorpusIndex:
    """Clips of one or several sources, as columns."""

    def __init__(self, shards: Sequence[Shard], quantizer: str | None) -> None:
        self.shards = tuple(shards)
        self.quantizer = quantizer
        """Hash of the quantizer that made the codes; None without sidecar codes."""
        self._columns: dict[str, np.ndarray | pa.Array] = {}

    @classmethod
    def open(cls, *sources: SourceConfig) -> CorpusIndex:
        """Open corpora by their corpus.json; tars and columns are not touched yet.

        Raises:
            CorpusError: a corpus is missing, incomplete or of another format, its sidecar codes
                were made from other tars, or two sources have codes of different quantizers.
        """
        shards: list[Shard] = []
        quantizers: dict[str, str] = {}
        for number, source in enumerate(sources):
            manifest = _read_kind(Path(source.path), "audio")
            if source.codes is not None:
                codes = _read_kind(Path(source.codes), "codes")
                _check_same_shards(source, manifest, codes)
                quantizers[source.codes] = codes.quantizer or ""
            for entry in manifest.shards:
                start = shards[-1].stop if shards else 0
                tar = Path(source.path) / f"{entry.name}.tar"
                codes_tar = Path(source.codes) / f"{entry.name}.tar" if source.codes else tar
                shard = Shard(
                    name=entry.name,
                    source=number,
                    tar=tar,
                    codes_tar=codes_tar,
                    start=start,
                    stop=start + entry.num_clips,
                )
                shards.append(shard)
        if len(set(quantizers.values())) > 1:
            raise CorpusError(f"the sources hold codes of different quantizers: {quantizers}")
        return cls(shards, next(iter(quantizers.values()), None))

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

    def numbers(self, name: str) -> np.ndarray:
        """Return a numeric column, [rows]; nulls are -1.

        Raises:
            CorpusError: an index file is missing, damaged or does not fit its corpus.json.
        """
        self.load([name])
        return self._columns[name]

    def strings(self, name: str) -> pa.Array:
        """Return a string column as an Arrow array of `large_string`."""
        self.load([name])
        return self._columns[name]

    def key(self, row: int) -> str:
        """Return the key of one clip."""
        return self.strings("key")[row].as_py()

    def load(self, names: Iterable[str]) -> None:
        """Read several columns in one pass over the index files; they stay in memory."""
        wanted = [name for name in names if name not in self._columns]
        if not wanted:
            return
        parts = [_read_shard(shard, wanted) for shard in self.shards]
        for name in wanted:
            arrays = [part[name] for part in parts]
            if name in _STRING_COLUMNS:
                self._columns[name] = pa.concat_arrays([a.cast(pa.large_string()) for a in arrays])
            else:
                self._columns[name] = np.concatenate([_to_numpy(array) for array in arrays])

    def check_tars(self, members: Sequence[str] = ("audio", "codes")) -> None:
        """Check that every tar that is read for these members is there.

        Raises:
            CorpusError: names the first that is missing.
        """
        audio = [shard.tar for shard in self.shards if "audio" in members]
        codes = [shard.codes_tar for shard in self.shards if "codes" in members]
        for path in dict.fromkeys([*audio, *codes]):
            if not path.is_file():
                raise CorpusError(f"shard {path} is missing")

    def summary(self) -> str:
        """Return one line about clips, hours, languages and codes."""
        hours = float(self.numbers("duration_sec").sum()) / 3600.0
        languages = ", ".join(sorted(pc.unique(self.strings("language")).to_pylist()))
        codes = int((self.numbers("num_code_frames") >= 0).sum())
        return (
            f"{self.num_clips} clips, {hours:.2f} h, languages {languages}, "
            f"{len(self.shards)} shards, {codes} clips with codes"
        )


def _read_kind(corpus: Path, kind: str) -> Manifest:
    manifest = read_manifest(corpus)
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


def _read_shard(shard: Shard, names: Sequence[str]) -> dict[str, pa.Array]:
    """Read columns of one shard, codes from the sidecar if there is one."""
    if shard.codes_tar == shard.tar:
        columns = _read_index(shard.tar, [n for n in names if n in CLIP_SCHEMA.names], shard)
        absent = pa.nulls(shard.stop - shard.start, pa.int64())
        return {name: columns.get(name, absent) for name in names}
    own = [name for name in names if name not in _CODES_COLUMNS]
    beside = [name for name in names if name in _CODES_COLUMNS]
    columns = _read_index(shard.tar, own, shard) if own else {}
    if beside:
        keys = _read_index(shard.tar, ["key"], shard)["key"]
        sidecar = _read_index(shard.codes_tar, ["key", *beside])
        places = _match(keys, sidecar["key"], shard)
        columns |= {name: sidecar[name].take(places) for name in beside}
    return columns


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


def _read_index(tar: Path, names: Sequence[str], shard: Shard | None = None) -> dict[str, pa.Array]:
    path = tar.with_suffix(".parquet")
    try:
        table = pq.read_table(path, columns=list(names), memory_map=True)
    except FileNotFoundError as error:
        raise CorpusError(f"index {path} is missing") from error
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise CorpusError(f"index {path} cannot be read: {' '.join(str(error).split())}") from error
    if missing := set(names) - set(table.column_names):
        raise CorpusError(f"index {path} lacks the columns {', '.join(sorted(missing))}")
    if shard is not None and table.num_rows != shard.stop - shard.start:
        raise CorpusError(
            f"index {path} must have {shard.stop - shard.start} rows as corpus.json says, "
            f"but has {table.num_rows}"
        )
    return {name: table[name].combine_chunks() for name in names}


def _to_numpy(array: pa.Array) -> np.ndarray:
    filled = array.fill_null(-1) if array.null_count else array
    return filled.to_numpy(zero_copy_only=False)
