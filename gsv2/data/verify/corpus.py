"""Verification of a corpus against itself: every tar, every index, and the totals of corpus.json.

Whether an index is older or newer than its tar is told by content, not by the times of files,
which copying changes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gsv2.data.corpus.manifest import MANIFEST_NAME, CorpusError, Manifest, read_manifest
from gsv2.data.indexing.corpus import compressed_tars
from gsv2.data.indexing.key_set import KeySet
from gsv2.data.process_pool import ShardPool
from gsv2.data.verify.codes_check import CodesMaker, check_codes, check_maker
from gsv2.data.verify.findings import Findings, Problem
from gsv2.data.verify.shard_check import ShardJob, ShardReport, check_shard

_NAMED = 3  # keys in two shards whose first shard is looked up


@dataclass
class Verification:
    """What was checked, and what is wrong."""

    corpus: str
    num_shards: int = 0
    num_clips: int = 0
    num_bytes: int = 0
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What could not be checked, and why."""


def verify_corpus(
    corpus: Path,
    *,
    audio: Path | None = None,
    maker: CodesMaker | None = None,
    decode: bool = False,
    pool: ShardPool | None = None,
) -> Verification:
    """Read all tars of a local corpus of audio or codes and check them.

    One shard's index at a time is in memory, and 8 bytes a key.

    Args:
        corpus: folder with corpus.json.
        audio: corpus that codes were made from; None = not compared.
        maker: quantizer that made codes; None = what corpus.json says of it.
        decode: whether every clip is decoded too.
        pool: pool of processes that read; None = this one.

    Raises:
        CorpusError: there is no corpus.json, it cannot be read, it is of text vectors, or `audio`
            is no audio corpus.
    """
    manifest = read_manifest(corpus)
    if manifest.kind == "texts":
        raise CorpusError(
            f"corpus {corpus} must hold audio or codes, but holds text vectors, which are checked "
            "by their CRC-32 as they are read"
        )
    findings = Findings("")
    code_format = check_maker(manifest, maker, findings)
    jobs = [
        ShardJob(corpus, entry, manifest.kind, decode, *code_format) for entry in manifest.shards
    ]
    result = Verification(str(corpus), num_shards=len(jobs))
    totals = _Totals(corpus)
    for report in (pool or ShardPool()).map(check_shard, jobs):
        result.problems += report.problems
        result.num_clips += report.entry.num_clips
        result.num_bytes += report.entry.num_bytes
        result.problems += totals.add(report)
    if code_format.codebook_size is None and totals.largest_code is not None:
        result.notes.append(_unknown_range(corpus, totals.largest_code))
    _check_manifest(corpus, manifest, findings)
    _check_folder(corpus, manifest, findings)
    if manifest.kind == "audio":
        totals.check(manifest, findings)
    else:
        check_codes(corpus, manifest, audio, findings)
    result.problems += findings
    return result


def _unknown_range(corpus: Path, largest_code: int) -> str:
    return (
        f"{corpus / MANIFEST_NAME} has no codebook_size: codes lie in 0..{largest_code}, and only "
        "their quantizer, if it is named, knows whether it has as many"
    )


class _Totals:
    """Languages, speakers and keys over all shards."""

    def __init__(self, corpus: Path) -> None:
        self._corpus = corpus
        self._languages: dict[str, tuple[int, float]] = {}
        self._speakers: set[str] = set()
        self._keys = KeySet()
        self._names: list[str] = []
        self.largest_code: int | None = None

    def add(self, report: ShardReport) -> list[Problem]:
        """Add a shard; returns its keys that were in another."""
        for language, (clips, seconds) in report.languages.items():
            before = self._languages.get(language, (0, 0.0))
            self._languages[language] = (before[0] + clips, before[1] + seconds)
        self._speakers |= report.speakers
        if report.largest_code is not None:
            self.largest_code = max(self.largest_code or 0, report.largest_code)
        findings = Findings(report.entry.name)
        places = self._keys.add(report.key_hashes).tolist()
        if places and self._names:
            keys = self._read_keys(report.entry.name)
            for number, place in enumerate(places):
                key = keys[place].as_py()
                first = self._first_shard(key) if number < _NAMED else "another shard"
                if first:
                    findings.add("key in two shards", f"{key}, first in {first}")
        self._names.append(report.entry.name)
        return list(findings)

    def check(self, manifest: Manifest, findings: Findings) -> None:
        """Compare with corpus.json."""
        findings.expect(
            "speakers differ from corpus.json", len(self._speakers), manifest.num_speakers
        )
        kind = "languages differ from corpus.json"
        findings.expect(kind, sorted(self._languages), sorted(manifest.languages))
        for language, (clips, seconds) in self._languages.items():
            said = manifest.languages.get(language, {})
            findings.expect(
                f"clips of {language} differ from corpus.json", clips, said.get("clips")
            )
            hours = seconds / 3600.0
            findings.expect(
                f"hours of {language} differ from corpus.json", hours, said.get("hours")
            )

    def _read_keys(self, name: str) -> pa.ChunkedArray:
        return pq.read_table(self._corpus / f"{name}.parquet", columns=["key"])["key"]

    def _first_shard(self, key: str) -> str:
        """Return the shard before that has the key; "" if only its hash was there."""
        for name in self._names:
            if (self._corpus / f"{name}.parquet").is_file():
                if pc.any(pc.equal(self._read_keys(name), key)).as_py():
                    return name
        return ""


def _check_manifest(corpus: Path, manifest: Manifest, findings: Findings) -> None:
    """Check the totals of corpus.json against its own lines."""
    said: Mapping[str, Any] = json.loads((corpus / MANIFEST_NAME).read_bytes())
    num_bytes = sum(entry.num_bytes for entry in manifest.shards)
    findings.expect("num_clips of corpus.json is no sum", said["num_clips"], manifest.num_clips)
    findings.expect("hours of corpus.json is no sum", float(said["hours"]), manifest.hours)
    findings.expect("num_bytes of corpus.json is no sum", said["num_bytes"], num_bytes)
    names: set[str] = set()
    for entry in manifest.shards:
        if entry.name in names:
            findings.add("shard twice in corpus.json", entry.name)
        names.add(entry.name)


def _check_folder(corpus: Path, manifest: Manifest, findings: Findings) -> None:
    """Every tar below the folder must be known."""
    left_out = manifest.build.get("left_out", [])
    known = {entry.name for entry in manifest.shards} | set(left_out)
    for tar in sorted(corpus.rglob("*.tar")):
        name = tar.relative_to(corpus).with_suffix("").as_posix()
        if name not in known and not tar.name.startswith(".") and not tar.is_dir():
            findings.add("tar is not in corpus.json", f"{name}.tar")
    declared = set(manifest.build.get("left_alone", []))
    for path in compressed_tars(corpus):
        if (name := path.relative_to(corpus).as_posix()) not in declared:
            findings.add("compressed tar is not in corpus.json", name)
