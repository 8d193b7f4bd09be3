"""Shard, one tar of an index: where it lies, and the columns of its Parquet index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gsv2.data.config import SourceConfig
from gsv2.data.corpus.format import SUFFIXES, TAR_BLOCK_BYTES
from gsv2.data.corpus.index_columns import (
    ALIGN_FIELDS,
    ALIGNED_SCHEMA,
    ARCHIVE_SCHEMA,
    LEVEL_FIELDS,
    OPTIONAL_FIELD,
    column_fault,
    type_fault,
)
from gsv2.data.corpus.manifest import CorpusError, Manifest
from gsv2.data.corpus.part import Part
from gsv2.storage.storage import Storage

_OPTIONAL = {field.name: field for field in (OPTIONAL_FIELD, *LEVEL_FIELDS, *ALIGN_FIELDS)}
_MAX_INDEX_BYTES = 1 << 30
"""Most bytes of an index file that are read from a server."""
_SPARE_BYTES = 16 << 20
"""Bytes by which an index may be larger than its tar: of a small tar, or many rejections."""
_CODES_COLUMNS = frozenset(ALIGNED_SCHEMA.names) - {"key"}


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One tar of the index, with the tar that holds its codes."""

    number: int
    """Place in the index."""
    name: str
    """`LANG/NAME-000000`."""
    language: str
    """Language of its clips; `mul` if they have several."""
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
    """SHA-256 of `tar`."""
    codes_sha256: str
    """SHA-256 of `codes_tar`."""
    num_bytes: int
    """Size of `tar`."""
    codes_num_bytes: int
    """Size of `codes_tar`."""
    aligner: str | None = None
    """Hash of the aligner of its codes; None = nobody aligned them."""
    part: Part = "all"
    """Part of its clips that is read."""
    held_out_share: float = 0.0
    """Share of its clips that are held out, where `part` is not `all`."""

    @property
    def num_clips(self) -> int:
        """Number of rows."""
        return self.stop - self.start

    def tar_of(self, member: str) -> str:
        """Return the tar that holds a member."""
        return self.codes_tar if member.startswith(("codes", "align")) else self.tar


def add_shards(
    shards: list[Shard],
    number: int,
    source: SourceConfig,
    manifest: Manifest,
    codes: Manifest | None,
    storage: Storage,
) -> None:
    """Append the shards of a source, beside those of its codes if it has a sidecar."""
    beside = source.codes or source.path
    codes_of = {} if codes is None else {entry.name: entry for entry in codes.shards}
    for entry in manifest.shards:
        start = shards[-1].stop if shards else 0
        of_codes = codes_of.get(entry.name, entry)
        shard = Shard(
            number=len(shards),
            name=entry.name,
            language=entry.language or entry.name.rpartition("/")[0],
            source=number,
            tar=storage.join(source.path, f"{entry.name}.tar"),
            codes_tar=storage.join(beside, f"{entry.name}.tar"),
            tar_index=storage.join(source.path, f"{entry.name}.parquet"),
            codes_index=storage.join(beside, f"{entry.name}.parquet"),
            start=start,
            stop=start + entry.num_clips,
            seconds=entry.seconds,
            sha256=entry.sha256,
            codes_sha256=of_codes.sha256,
            num_bytes=entry.num_bytes,
            codes_num_bytes=of_codes.num_bytes,
            aligner=None if codes is None else codes.aligner,
            part=source.part,
            held_out_share=source.held_out_share,
        )
        shards.append(shard)


def read_shard(storage: Storage, shard: Shard, names: Sequence[str]) -> dict[str, pa.Array]:
    """Read columns of one shard, those of codes from the sidecar if there is one.

    Args:
        storage: where the index files lie.
        names: columns to read.

    Returns:
        Name -> [clips of the shard] array; null where a clip has no such member.

    Raises:
        CorpusError: the index file is missing, damaged or does not fit its corpus.json.
    """
    if shard.codes_tar == shard.tar:
        own = [name for name in names if name in ARCHIVE_SCHEMA.names]
        columns = _read_own(storage, shard, own)
        absent = pa.nulls(shard.num_clips, pa.int64())
        return {name: columns.get(name, absent) for name in names}
    beside = [name for name in names if name in _CODES_COLUMNS]
    own = [name for name in names if name not in _CODES_COLUMNS]
    if beside:
        own = list(dict.fromkeys(["key", *own]))
    columns = _read_own(storage, shard, own)
    if beside:
        sidecar = _read_columns(storage, shard.codes_index, ["key", *beside], shard.codes_num_bytes)
        places = _match(columns["key"], sidecar["key"], shard)
        columns |= {name: sidecar[name].take(places) for name in beside}
    return {name: columns[name] for name in names}


def _read_own(storage: Storage, shard: Shard, names: Sequence[str]) -> dict[str, pa.Array]:
    """Read columns of the index of the tar of clips."""
    return _read_columns(storage, shard.tar_index, names, shard.num_bytes, shard.num_clips)


def _read_columns(
    storage: Storage,
    location: str,
    names: Sequence[str],
    tar_bytes: int,
    num_clips: int | None = None,
) -> dict[str, pa.Array]:
    """Read columns of an index file; optional ones are null where the file lacks them.

    Args:
        storage: where the file lies.
        location: path or URL of the index file.
        names: columns to read.
        tar_bytes: size of the tar that the index describes.
        num_clips: number of rows that it must have; None = not known.
    """
    try:
        is_local = storage.is_local(location)
        limit = min(_MAX_INDEX_BYTES, tar_bytes + _SPARE_BYTES)
        source = location if is_local else pa.BufferReader(storage.read(location, limit))
        with pq.ParquetFile(source, memory_map=is_local) as file:
            num_rows = file.metadata.num_rows
            _check_rows(location, num_rows, tar_bytes, num_clips)
            there = set(file.schema_arrow.names)
            if missing := set(names) - there - set(_OPTIONAL):
                lacking = ", ".join(sorted(missing))
                raise CorpusError(f"index {location} lacks the columns {lacking}")
            wanted = [name for name in names if name in there]
            for name in wanted:
                if fault := type_fault(name, file.schema_arrow.field(name).type):
                    raise CorpusError(f"index {location}: {fault}")
            table = file.read(wanted, use_threads=False)
            table.validate(full=True)  # also that texts are UTF-8
    except CorpusError:
        raise
    except FileNotFoundError as error:
        raise CorpusError(f"index {location} is missing") from error
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise CorpusError(f"index {location} cannot be read: {reason}") from error
    columns = {name: table[name].combine_chunks() for name in wanted}
    if fault := column_fault(columns, dict.fromkeys(SUFFIXES, tar_bytes)):
        raise CorpusError(f"index {location}: {fault}")
    absent = {name: pa.nulls(num_rows, _OPTIONAL[name].type) for name in set(names) - there}
    return columns | absent


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


def _check_rows(location: str, num_rows: int, tar_bytes: int, num_clips: int | None) -> None:
    """Check how many rows a file claims, before memory is taken for them."""
    if num_clips is not None and num_rows != num_clips:
        raise CorpusError(
            f"index {location} must have {num_clips} rows as corpus.json says, but has {num_rows}"
        )
    if num_rows * TAR_BLOCK_BYTES > tar_bytes:
        raise CorpusError(
            f"index {location} has {num_rows} rows, more than a tar of {tar_bytes} bytes can hold"
        )
