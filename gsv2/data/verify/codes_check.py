"""Check of a corpus of codes against its quantizer and the audio that they were made from."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gsv2.data.corpus.code_format import CodeFormat
from gsv2.data.corpus.manifest import MANIFEST_NAME, CorpusError, Manifest, read_manifest
from gsv2.data.verify.findings import Findings, short_hash
from gsv2.data.verify.index_check import check_code_lengths

_NAMED = 3  # keys of a shard that the audio lacks


class CodesMaker(NamedTuple):
    """A quantizer, as far as its codes are concerned."""

    quantizer: str | None
    """Hash of the quantizer; None = not known."""
    code_format: CodeFormat


def check_maker(manifest: Manifest, maker: CodesMaker | None, findings: Findings) -> CodeFormat:
    """Compare codes with the quantizer that should have made them; None = it is not at hand.

    Returns:
        Their format: what corpus.json says, and what only their quantizer knows.
    """
    if maker is None:
        return manifest.code_format
    ours, theirs = manifest.quantizer, maker.quantizer
    if ours and theirs and ours != theirs:
        example = f"{short_hash(ours)}, not {short_hash(theirs)}"
        findings.add("codes are of another quantizer", example)
        return manifest.code_format
    for difference in manifest.code_format.differences(maker.code_format):
        findings.add("codes have another format than their quantizer's", difference)
    return manifest.code_format.filled_from(maker.code_format)


def check_codes(corpus: Path, manifest: Manifest, audio: Path | None, findings: Findings) -> None:
    """Check what only codes have, and against the audio that they were made from."""
    if not manifest.quantizer:
        findings.add("hash of the quantizer is missing", str(corpus / MANIFEST_NAME))
    if not manifest.num_codebooks:
        findings.add("number of codebooks is missing", str(corpus / MANIFEST_NAME))
    clips = sum(int(total.get("clips", 0)) for total in manifest.languages.values())
    findings.expect("languages of corpus.json are no sum", clips, manifest.num_clips)
    if audio is None:
        return
    source = read_manifest(audio)
    if source.kind != "audio":
        raise CorpusError(f"corpus {audio} must hold audio, but holds {source.kind}")
    entries = {entry.name: entry for entry in manifest.shards}
    for entry in source.shards:
        if entry.name not in entries:
            findings.add("codes lack a shard of the audio", entry.name)
            continue
        if entries[entry.name].source_sha256 != entry.sha256:
            findings.add("codes were made from another tar", entry.name)
        _check_keys(corpus, audio, entry.name, manifest.code_rate_hz, findings)
    for name in sorted(set(entries) - {entry.name for entry in source.shards}):
        findings.add("codes of a shard that the audio lacks", name)


def _check_keys(
    corpus: Path, audio: Path, name: str, rate_hz: float | None, findings: Findings
) -> None:
    """The clips of a shard of codes are clips of its audio, in their order, and as long."""
    try:
        table = pq.read_table(corpus / f"{name}.parquet", columns=["key", "num_code_frames"])
        beside = pq.read_table(audio / f"{name}.parquet", columns=["key", "duration_sec"])
    except (pa.ArrowException, OSError, KeyError):
        return  # a missing or damaged index is told where its shard is checked
    ours, theirs = table["key"], beside["key"]
    places = pc.index_in(ours, value_set=theirs)
    seconds = beside["duration_sec"].take(places).fill_null(0.0).to_numpy()
    check_code_lengths(table, seconds, rate_hz, findings)
    for row in pc.indices_nonzero(places.is_null()).to_pylist()[:_NAMED]:
        findings.add("codes of a clip that the audio lacks", f"{name}: {ours[row]}")
    order = places.drop_null().to_pylist()
    if order != sorted(order):
        findings.add("codes in another order than the audio", name)
