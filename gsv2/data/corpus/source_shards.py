"""Shards of the sources of a run, by their corpus.json alone, with those of their sidecars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gsv2.data.config import SourceConfig
from gsv2.data.corpus.code_format import CodeFormat
from gsv2.data.corpus.manifest import (
    CorpusError,
    Manifest,
    ShardEntry,
    check_same_shards,
    common_code_format,
    read_kind,
)
from gsv2.data.corpus.shard import Shard, SidecarTar
from gsv2.storage.storage import Storage


class SourceShards(NamedTuple):
    """Shards of all sources, and what their sidecars have in common."""

    shards: tuple[Shard, ...]
    quantizer: str | None
    """Hash of the quantizer that made the codes; None without sidecar codes."""
    code_format: CodeFormat
    text_encoder: str | None
    """Hash of the encoder that made the text vectors; None = not all sources have any."""


def read_sources(sources: Sequence[SourceConfig], storage: Storage) -> SourceShards:
    """Return the shards of sources in the order of their corpus.json.

    Raises:
        CorpusError: see `CorpusIndex.open`.
    """
    shards: list[Shard] = []
    opened = [_open(number, source, storage) for number, source in enumerate(sources)]
    for one in opened:
        for entry in one.audio.shards:
            start = shards[-1].stop if shards else 0
            shards.append(_make_shard(one, entry, len(shards), start, storage))
    codes = {one.source.codes: one.codes for one in opened if one.codes is not None}
    quantizers = {path: manifest.quantizer or "" for path, manifest in codes.items()}
    aligners = {path: manifest.aligner for path, manifest in codes.items()}
    encoders = {one.source.path: one.text_encoder for one in opened}
    for what, found in (
        ("codes of different quantizers", quantizers),
        ("alignments of different aligners", aligners),
        ("text vectors of different encoders", encoders),
    ):
        if len(set(found.values()) - {None}) > 1:
            raise CorpusError(f"the sources hold {what}: {found}")
    formats = {str(path): manifest.code_format for path, manifest in codes.items()}
    return SourceShards(
        tuple(shards),
        next(iter(quantizers.values()), None),
        common_code_format(CodeFormat(), formats),
        None if None in encoders.values() else next(iter(encoders.values()), None),
    )


class _Opened(NamedTuple):
    """A source with what its corpus.json files say."""

    number: int
    source: SourceConfig
    audio: Manifest
    codes: Manifest | None
    codes_of: Mapping[str, ShardEntry]
    """Name of a shard -> entry of its sidecar of codes."""
    texts_of: Mapping[str, SidecarTar]
    """Name of a shard -> its sidecar of text vectors."""
    text_encoder: str | None


def _open(number: int, source: SourceConfig, storage: Storage) -> _Opened:
    """Read the corpus.json of a source and of its sidecars, which must be made from its tars."""
    audio = read_kind(source.path, "audio", storage)
    codes: Manifest | None = None
    codes_of: Mapping[str, ShardEntry] = {}
    if source.codes is not None:
        codes = read_kind(source.codes, "codes", storage)
        check_same_shards(source.path, audio, source.codes, codes)
        codes_of = {entry.name: entry for entry in codes.shards}
    texts_of: Mapping[str, SidecarTar] = {}
    text_encoder = None
    if source.texts is not None:
        texts = read_kind(source.texts, "texts", storage)
        check_same_shards(source.path, audio, source.texts, texts)
        texts_of, text_encoder = _sidecar_tars(source.texts, texts, storage), texts.text_encoder
    return _Opened(number, source, audio, codes, codes_of, texts_of, text_encoder)


def _make_shard(
    opened: _Opened, entry: ShardEntry, number: int, start: int, storage: Storage
) -> Shard:
    """Return a shard of a source, whose rows begin at `start`."""
    source, codes_entry = opened.source, opened.codes_of.get(entry.name, entry)
    beside = source.codes or source.path
    return Shard(
        number=number,
        name=entry.name,
        language=entry.language or entry.name.rpartition("/")[0],
        source=opened.number,
        tar=storage.join(source.path, f"{entry.name}.tar"),
        codes_tar=storage.join(beside, f"{entry.name}.tar"),
        tar_index=storage.join(source.path, f"{entry.name}.parquet"),
        codes_index=storage.join(beside, f"{entry.name}.parquet"),
        start=start,
        stop=start + entry.num_clips,
        seconds=entry.seconds,
        sha256=entry.sha256,
        codes_sha256=codes_entry.sha256,
        num_bytes=entry.num_bytes,
        codes_num_bytes=codes_entry.num_bytes,
        shift_samples=0 if opened.codes is None else opened.codes.shift_samples,
        aligner=None if opened.codes is None else opened.codes.aligner,
        texts=opened.texts_of.get(entry.name),
        leave_out=source.leave_out,
        part=source.part,
        held_out_share=source.held_out_share,
    )


def _sidecar_tars(corpus: str, manifest: Manifest, storage: Storage) -> dict[str, SidecarTar]:
    """Return the tars of a sidecar corpus by the names of their shards."""
    return {
        entry.name: SidecarTar(
            tar=storage.join(corpus, f"{entry.name}.tar"),
            tar_index=storage.join(corpus, f"{entry.name}.parquet"),
            sha256=entry.sha256,
            num_bytes=entry.num_bytes,
            counts_only=manifest.text_dim is None,
        )
        for entry in manifest.shards
    }
