"""Shard, one tar of an index: where it lies, and the columns of its Parquet index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gsv2.data.corpus.format import SUFFIXES, TAR_BLOCK_BYTES
from gsv2.data.corpus.index_columns import (
    ALIGN_FIELDS,
    ALIGNED_SCHEMA,
    ARCHIVE_SCHEMA,
    LEVEL_FIELDS,
    OPTIONAL_FIELD,
    TEXTS_SCHEMA,
    column_fault,
    type_fault,
)
from gsv2.data.corpus.manifest import CorpusError
from gsv2.data.corpus.part import Part
from gsv2.storage.storage import Storage

_OPTIONAL = {field.name: field for field in (OPTIONAL_FIELD, *LEVEL_FIELDS, *ALIGN_FIELDS)}
_MAX_INDEX_BYTES = 1 << 30
"""Most bytes of an index file that are read from a server."""
_SPARE_BYTES = 16 << 20
"""Bytes by which an index may be larger than its tar: of a small tar, or many rejections."""
_CODES_COLUMNS = frozenset(ALIGNED_SCHEMA.names) - {"key"}
_TEXTS_COLUMNS = frozenset(TEXTS_SCHEMA.names) - {"key"}


class SidecarTar(NamedTuple):
    """A tar with more members of the clips of another one."""

    tar: str
    """Path or URL."""
    tar_index: str
    """Its Parquet index."""
    sha256: str
    """SHA-256 of it."""
    num_bytes: int
    """Size of it."""
    counts_only: bool = False
    """Whether its index says how long texts are, and the tar holds nothing."""


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
    shift_samples: int = 0
    """Samples at the start of each clip that its codes say nothing of."""
    aligner: str | None = None
    """Hash of the aligner of its codes; None = nobody aligned them."""
    texts: SidecarTar | None = None
    """Tar with the text vectors of its clips; None = there are none."""
    leave_out: str | None = None
    """Path or URL of the list of clips that are not read; None = all are."""
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
        if member == "text_vectors" and self.texts is not None:
            return self.texts.tar
        return self.codes_tar if member.startswith(("codes", "align")) else self.tar


def read_shard(storage: Storage, shard: Shard, names: Sequence[str]) -> dict[str, pa.Array]:
    """Read columns of one shard, those of codes and of text vectors from their sidecars.

    Args:
        storage: where the index files lie.
        names: columns to read.

    Returns:
        Name -> [clips of the shard] array; null where a clip has no such member.

    Raises:
        CorpusError: the index file is missing, damaged or does not fit its corpus.json.
    """
    texts = [name for name in names if name in _TEXTS_COLUMNS]
    if not texts:
        return _read_clips(storage, shard, names)
    others = [name for name in names if name not in _TEXTS_COLUMNS]
    columns = _read_clips(storage, shard, list(dict.fromkeys(["key", *others])))
    if shard.texts is None:
        absent = pa.nulls(shard.num_clips, pa.int64())
        return {name: columns.get(name, absent) for name in names}
    beside = _read_columns(storage, shard.texts.tar_index, ["key", *texts], shard.texts.num_bytes)
    places = _match(columns["key"], beside["key"], shard, shard.texts.tar)
    columns |= {name: beside[name].take(places) for name in texts}
    return {name: columns[name] for name in names}


def _read_clips(storage: Storage, shard: Shard, names: Sequence[str]) -> dict[str, pa.Array]:
    """Read columns of the clips and of their codes."""
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
        places = _match(columns["key"], sidecar["key"], shard, shard.codes_tar)
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


def _match(keys: pa.Array, sidecar_keys: pa.Array, shard: Shard, sidecar: str) -> pa.Array:
    """Return the sidecar's row of every clip; null where it holds nothing of a clip."""
    places = pc.index_in(keys, value_set=sidecar_keys)
    found = pc.drop_null(places)
    if len(found) != len(sidecar_keys) or not found.equals(pa.array(range(len(found)), pa.int32())):
        raise CorpusError(
            f"index of {sidecar} does not list the clips of {shard.tar} in their order; "
            f"make {'the codes' if sidecar == shard.codes_tar else 'the text vectors'} again"
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
